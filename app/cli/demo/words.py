"""What the demo says, in Russian and in English: for somebody who sees this server for the first time."""

from app.domain.language import Language, pick

WORDS: dict[str, tuple[str, str]] = {  # Russian, English
    "intro": (
        (
            "Весь путь на временной базе: сервер настоящий и по HTTPS, а fal и Telegram изображают двойники на этой "
            "машине. Ваши .env и база не читаются и не меняются, наружу не уходит ничего."
        ),
        (
            "The whole way on a scratch database: the real server over HTTPS, while twins on this machine play fal and "
            "Telegram. Your .env and database are neither read nor changed, and nothing leaves this machine."
        ),
    ),
    "server": (
        "Сервер: {url}, сертификат самоподписанный, сделан сейчас; двойник fal его проверяет.",
        "Server: {url}, with a self-signed certificate made just now; fal's twin verifies it.",
    ),
    # titles
    "portrait": ("Портрет обучен", "Portrait trained"),
    "failure": ("Обучение не удалось", "Training failed"),
    "duplicate": ("Та же доставка ещё раз", "The same delivery again"),
    "late": ("Вебхук раньше бота", "Webhook before the bot"),
    "fetched": ("Вебхук без результата", "Webhook without result"),
    "style": ("Стиль с finetune_id", "Style with finetune_id"),
    "forged": ("Подделки", "Forgeries"),
    "telegram": ("Telegram отказывает", "Telegram refuses"),
    "closing": ("Остановка и счёт", "The end and the count"),
    # stories
    "portrait.story": (
        (
            "fal закончил обучение и шлёт подписанный вебхук со ссылкой на LoRA. Сервер проверяет подпись, записывает "
            "доставку на диск и только потом отвечает 200. Затем меняет аватар и пишет владельцу."
        ),
        (
            "fal finished a training and sends a signed webhook with the LoRA's URL. The server verifies the "
            "signature, writes the delivery to disk and only then answers 200. Then it changes the avatar and tells "
            "the owner."
        ),
    ),
    "failure.story": (
        (
            "fal сообщает об ошибке 422 и перечисляет причины. Владелец узнаёт, что сделать. Ссылка на его фото, "
            "которую fal повторяет в input, не попадает ни в причину, ни в сообщение."
        ),
        (
            "fal reports an error 422 with a list of reasons. The owner is told what to do. The link to their photos, "
            "which fal echoes as input, gets neither into the reason nor into the message."
        ),
    ),
    "duplicate.story": (
        (
            "fal не обещает доставить один раз. Доставка шага 1 приходит снова: сначала заново подписанной, потом "
            "байт в байт. Ответ тот же, но аватар не меняется и второго сообщения нет."
        ),
        (
            "fal does not promise to deliver once. The delivery of step 1 comes again: first signed anew, then byte "
            "for byte. The answer is the same, but the avatar does not change and there is no second message."
        ),
    ),
    "late.story": (
        (
            "Вебхук обогнал бота: тот ещё не записал request_id в базу. Доставка принята и ждёт; сервер смотрит снова "
            "каждые три секунды."
        ),
        (
            "The webhook overtook the bot, which has not written the request id to the database yet. The delivery is "
            "accepted and waits; the server looks again every three seconds."
        ),
    ),
    "fetched.story": (
        "fal говорит OK, но результат в вебхук не поместил. Сервер сам забирает его из очереди fal.",
        "fal says OK, but left the result out of the webhook. The server fetches it from fal's queue.",
    ),
    "style.story": (
        "Другая модель обучения отдаёт не файл, а finetune_id. Имя аватара с < и & доходит до владельца целым.",
        "Another trainer gives no file but a finetune_id. An avatar's name with < and & reaches the owner whole.",
    ),
    "forged.story": (
        (
            "Шесть попыток выдать себя за fal или завершить чужое обучение. Пять отвергнуты сразу. Одну fal подписал "
            "сам, поэтому она принята, но её номера запроса расходятся: она похоронена и видна оператору."
        ),
        (
            "Six attempts to pass for fal or to complete somebody's training. Five are refused at once. One was signed "
            "by fal itself, so it is taken, but its two request ids differ: it is buried, for the operator to see."
        ),
    ),
    "telegram.story": (
        (
            "Telegram просит подождать (429), и сообщение уходит секундой позже. Другой владелец заблокировал бота: "
            "аватар готов, а сообщение остаётся в списке недоставленных."
        ),
        (
            "Telegram asks to wait (429), and the message goes out a second later. Another owner blocked the bot: the "
            "avatar is ready all the same, and the message is kept as not delivered."
        ),
    ),
    "closing.story": (
        "Сервер получает SIGTERM, доделывает начатое и выходит. За всё время сообщений ровно столько, сколько нужно.",
        "The server gets SIGTERM, finishes what it began and leaves. Altogether, exactly as many messages as due.",
    ),
    # what was sent
    "signed": ("вебхук с подписью fal", "a webhook signed by fal"),
    "again": ("то же тело, подписано заново (так fal повторяет)", "the same body signed anew (fal's way to retry)"),
    "replay": ("точная копия: те же байты и та же подпись", "an exact copy: the same bytes and signature"),
    "wrong_key": ("подписано чужим ключом", "signed with a key that is not fal's"),
    "tampered_body": (
        "подпись верная, но тело подменили в пути",
        "rightly signed, but the body was changed on the way",
    ),
    "stale_clock": ("настоящая подпись, но ей больше пяти минут", "rightly signed, but more than five minutes ago"),
    "foreign_account": ("подписано fal, но для чужого аккаунта", "signed by fal, but for another account"),
    "mismatched_id": (
        "подписано fal, но тело называет другой запрос",
        "signed by fal, but the body names another request",
    ),
    "unsigned": ("без подписи", "not signed at all"),
    # labels
    "label.sent": ("отправлено", "sent"),
    "label.body": ("тело", "body"),
    "label.answer": ("ответ", "answer"),
    "label.inbox": ("доставка", "delivery"),
    "label.avatar": ("аватар", "avatar"),
    "label.owner": ("владельцу", "to the owner"),
    "label.note": ("затем", "then"),
    "size": ("{what}, {size} Б", "{what}, {size} bytes"),
    "no_answer": ("ответа нет: {error}", "no answer: {error}"),
    "not_stored": ("не записана", "not stored"),
    "stored": ("№ {id}: {state}, {reason}; повторов: {repeats}", "no. {id}: {state}, {reason}; repeats: {repeats}"),
    "changed": ("«{name}»: {before} → {after}", '"{name}": {before} → {after}'),
    "unchanged": ("«{name}»: {after}, без изменений", '"{name}": {after}, unchanged'),
    "blocked": ("владелец отмечен как недоступный", "the owner is marked as unreachable"),
    "silence": ("ничего", "nothing"),
    "untold": ("не доставлено: {reason} ({detail})", "not delivered: {reason} ({detail})"),
    "message": ("сообщение {id} в чат {chat}", "message {id} to chat {chat}"),
    "late.waits": (
        "аватара с таким request_id нет: доставка ждёт (orphan); тут бот записывает request_id",
        "no avatar has this request id: the delivery waits (orphan); now the bot writes the request id",
    ),
    "fetched.call": (
        "сервер спросил очередь fal: GET {path} → {status}",
        "the server asked fal's queue: GET {path} → {status}",
    ),
    "telegram.calls": ("Telegram ответил: {statuses}", "Telegram answered: {statuses}"),
    "telegram.redrive": (
        "когда владелец вернётся, повторит команда: aisha-webhook notifications redrive {id}",
        "once the owner is back, this sends it again: aisha-webhook notifications redrive {id}",
    ),
    "closing.counted": (
        "код выхода сервера {code}, сообщений всего {messages}",
        "the server's exit code {code}, messages altogether {messages}",
    ),
    # verdicts
    "right": ("так и должно быть", "as it should be"),
    "wrong": ("{name}: должно быть {expected}, а вышло {seen}", "{name}: should be {expected}, but is {seen}"),
    "not_finished": ("шаг не закончен", "the step was not finished"),
    "column.number": ("№", "#"),
    "column.step": ("шаг", "step"),
    "column.http": ("HTTP", "HTTP"),
    "column.avatar": ("аватар", "avatar"),
    "column.told": ("сообщений", "told"),
    "column.verdict": ("", ""),
    "all_right": (
        "Всё так, как должно быть: {count} из {count} за {seconds} с.",
        "All as it should be: {count} of {count} in {seconds} s.",
    ),
    "not_right": ("Не так, как должно быть: {wrong} из {count}.", "Not as it should be: {wrong} of {count}."),
    "out_of_time": ("Демонстрация не уложилась в {seconds} с.", "The demo did not end within {seconds} s."),
    "not_started": ("Сервер не запустился: {why}", "The server did not start: {why}"),
    "not_started.exit": ("вышел с кодом {code}", "it left with exit code {code}"),
    "not_started.late": ("не готов за {seconds} с", "not ready within {seconds} s"),
    "tail": ("Последние строки журнала сервера:", "The last lines of the server's log:"),
    "keep": (
        "Чтобы сохранить журналы и базу: aisha-webhook demo --keep",
        "To keep logs and database: aisha-webhook demo --keep",
    ),
    "kept": ("Временная папка оставлена: {folder}", "The scratch folder was kept: {folder}"),
}


class DemoWords:
    """The words of one language."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language

    def __call__(self, key: str, /, **values: object) -> str:
        """Say one thing."""
        return pick(WORDS[key], self.language).format(**values)
