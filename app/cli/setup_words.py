"""What `aisha-webhook setup` asks and says."""

from app.domain.language import Bilingual

QUESTIONS: dict[str, Bilingual] = {
    "api_domain": (
        "Домен, по которому fal позовёт сервер (например hooks.example.kz)",
        "The domain at which fal calls the server (such as hooks.example.com)",
    ),
    "database_url": (
        "База бота: postgresql://имя:пароль@узел/база (в пароле @ : / пишутся как %40 %3A %2F)",
        "The bot's database: postgresql://name:password@host/database (in a password @ : / are %40 %3A %2F)",
    ),
    "telegram_token": ("Токен бота от @BotFather", "The bot's token from @BotFather"),
    "operator_chat_id": (
        "Ваш чат для тревог: число от @userinfobot; сначала напишите боту /start",
        "Your chat for alerts: the number from @userinfobot; write /start to the bot first",
    ),
    "fal_api_key": ("Ключ API fal (fal.ai/dashboard/keys)", "The API key of fal (fal.ai/dashboard/keys)"),
    "fal_user_id": (
        "id вашего аккаунта fal: чужие доставки тогда отвергаются",
        "Your account's id at fal: foreign deliveries are refused then",
    ),
}

SAYS: dict[str, Bilingual] = {
    "intro": (
        "Enter оставляет то, что в [скобках]; «-» убирает значение; Ctrl-C ничего не запишет.",
        "Enter keeps what stands in [brackets]; “-” takes a value away; Ctrl-C writes nothing.",
    ),
    "kept": ("задан, не показывается", "set, not shown"),
    "none": ("нет", "none"),
    "environment": (
        "{name} задан в окружении и сильнее .env: не спрашиваем",
        "{name} is set in the environment, which wins over .env: not asked",
    ),
    "again": (
        "Ещё раз? Тот же ответ оставит его как есть.",
        "Once more? The same answer keeps it as it is.",
    ),
    "elsewhere": (
        "{name} ведёт на {addresses}, а не на адрес этой машины; за NAT или прокси так и должно быть",
        "{name} leads to {addresses}, no address of this machine; behind NAT or a proxy that is right",
    ),
    "database_missing": (
        "файла {file} ещё нет: его создаст первый запуск",
        "there is no {file} yet: the first start makes it",
    ),
    "folder_closed": ("в папку {folder} нельзя писать", "the folder {folder} cannot be written to"),
    "told": (
        "сообщение {message_id} дошло до чата {chat_id}",
        "message {message_id} reached chat {chat_id}",
    ),
    "not_told": ("сообщение в чат {chat_id} не прошло: {why}", "no message reached chat {chat_id}: {why}"),
    "no_token_no_chat": ("без токена чат не проверить", "without a token the chat cannot be checked"),
    "test_message": (
        "Сервер вебхуков: сюда будут приходить тревоги.",
        "The webhook server: alerts will arrive here.",
    ),
    "written": ("{path} записан ({mode}): {names}", "{path} was written ({mode}): {names}"),
    "same": ("Ничего не изменилось, {path} не тронут.", "Nothing changed, {path} was left alone."),
    "next": ("Дальше: {command}", "Next: {command}"),
    "refused": (
        "Ничего не записано. Исправьте, или добавьте --no-check",
        "Nothing was written. Correct it, or add --no-check",
    ),
    "ended": ("Ввод кончился: ничего не записано", "The input ended: nothing was written"),
    "no_terminal": (
        "Спросить некого: stdin не терминал. Дайте ответы ключами: {flags}",
        "There is nobody to ask: stdin is no terminal. Give the answers as options: {flags}",
    ),
    "unreadable": (
        "{path}: {why}. Запустите от имени владельца: sudo -u {owner} {command}",
        "{path}: {why}. Run it as its owner: sudo -u {owner} {command}",
    ),
    "not_utf8": ("{path} — не текст в UTF-8", "{path} is no UTF-8 text"),
    "unquotable": (
        "{name}: значение с ', \\ или ${{ не записать одинаково для всех; положите его в файл: {name}_FILE=/путь",
        "{name}: a value with ', \\ or ${{ cannot be written alike for all; put it into a file: {name}_FILE=/path",
    ),
}
