"""What `aisha-webhook try` says: a sentence for each step, and one with a command for each way to fail."""

from app.domain.language import Bilingual

HEAD: Bilingual = (
    "Пробная доставка через работающий сервер {url}; бот, его аватары и счётчики не затронуты.",
    "A trial delivery through the running server {url}; the bot, its avatars and the totals are not touched.",
)
RIGHT: Bilingual = ("Весь путь пройден за {ms} мс.", "The whole way took {ms} ms.")
NEXT: Bilingual = ("Дальше: {command}", "Next: {command}")

STEPS: dict[str, Bilingual] = {
    "key": ("ключ этой установки прочитан: {path}", "the key of this installation was read: {path}"),
    "answered": ("подписанный вебхук принят: HTTP {status}", "the signed webhook was accepted: HTTP {status}"),
    "stored": ("записан в базу: доставка {delivery}", "stored in the database: delivery {delivery}"),
    "applied": ("применён, в таблицах бота ничего не тронуто", "applied, nothing of the bot's was touched"),
    "sent": (
        "сообщение {message_id} отправлено в чат {chat_id}",
        "message {message_id} was sent to chat {chat_id}",
    ),
    "unsent": (
        "сообщение показано здесь: TELEGRAM_TOKEN не задан",
        "the message is shown here: TELEGRAM_TOKEN is not set",
    ),
    "no_chat": (
        "сообщение показано здесь: OPERATOR_CHAT_ID не задан",
        "the message is shown here: OPERATOR_CHAT_ID is not set",
    ),
}

FAILED: dict[str, Bilingual] = {
    "no_key": (
        "нет {path}: с этими настройками сервер ещё не запускался",
        "there is no {path}: the server has not been started with these settings yet",
    ),
    "replica_key": (
        "ключи лежат у реплик, и спрашивать надо одну из них",
        "the keys belong to replicas: ask one of them",
    ),
    "key_closed": (
        "{path} закрыт для этой учётной записи, он принадлежит {owner}",
        "{path} is closed to this account, it belongs to {owner}",
    ),
    "key_broken": ("в {path} нет ключа: его создаст перезапуск", "{path} holds no key: a restart makes one"),
    "no_server": (
        "{url} не отвечает ({why}): сервер не запущен или слушает другой порт",
        "{url} does not answer ({why}): the server is not running, or listens elsewhere",
    ),
    "unknown_path": (
        "{url} не знает проверки (404): это другой или ещё не перезапущенный сервер",
        "{url} does not know trials (404): another server, or one that was not restarted yet",
    ),
    "other_key": (
        "{url} не узнал ключ: у этого сервера другая DATA_DIR, не {folder}",
        "{url} does not know the key: its DATA_DIR is another one, not {folder}",
    ),
    "not_local": (
        "{url} принял нас за чужую машину: между нами прокси, спросите сам сервер",
        "{url} takes us for another machine: there is a proxy between, ask the server itself",
    ),
    "refused": ("{url} отверг доставку: HTTP {status} {answer}", "{url} refused the delivery: HTTP {status} {answer}"),
    "other_database": (
        "вебхук принят, но доставки нет в базе из этих настроек: сервер работает с другой",
        "the webhook was accepted, but the database of these settings has no such delivery: the server uses another",
    ),
    "not_applied": (
        "доставка {delivery} не применена за {seconds} с ({why})",
        "delivery {delivery} was not applied within {seconds} s ({why})",
    ),
    "not_sent": (
        "сообщение не отправлено ({why}{detail})",
        "the message was not sent ({why}{detail})",
    ),
}

# What to run after each. {cli} is how this program is called from anywhere.
COMMANDS: dict[str, str] = {
    "no_key": "make run",
    "replica_key": "{cli} try --port {port}",
    "key_closed": "sudo -u {owner} {cli} try",
    "key_broken": "make run",
    "no_server": "{cli} doctor",
    "unknown_path": "{cli} doctor",
    "other_key": "{cli} config show",
    "not_local": "{cli} try --port 8444",
    "refused": "{cli} doctor",
    "other_database": "{cli} config show",
    "not_applied": "{cli} deliveries show {delivery}",
    "not_sent": "{cli} notifications show {notification}",
    "unsent": "{cli} setup",
    "no_chat": "{cli} setup",
}
