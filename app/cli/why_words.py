"""The sentences of `why`, in the two languages of operators. docs/errors.md explains the reasons that they name."""

from collections.abc import Mapping

from app.domain.language import Bilingual

HEADS: Mapping[str, Bilingual] = {
    "waits_for": ("Ждём:", "Waiting:"),
    "end": ("Итог:", "In the end:"),
    "due": ("следующая попытка {at} UTC", "next try {at} UTC"),
    "next": ("Дальше: {command}", "Next: {command}"),
}

HAPPENED: Mapping[str, Bilingual] = {
    "job.submitted": ("отправлено в fal отсюда, {endpoint}", "submitted to fal from here, {endpoint}"),
    "job.registered": ("бот сообщил о задании, {endpoint}", "the bot registered the job, {endpoint}"),
    "job.met": ("задание замечено, {endpoint}", "the job was met, {endpoint}"),
    "job.at_work": ("fal начал работу", "fal began to work"),
    "job.finished": ("fal сообщил, что работа закончена", "fal said that the work is finished"),
    "job.gone": ("fal перестал узнавать задание", "fal stopped knowing the job"),
    "job.asked": ("последний вопрос к fal", "fal was last asked"),
    "job.position": ("место в очереди fal: {position}", "position in fal's queue: {position}"),
    "job.percent": ("выполнено {percent} %", "{percent} % done"),
    "job.drifted": (
        "строку аватара сбили, возвращена; раз: {times}",
        "somebody set the avatar's row back; put right, times: {times}",
    ),
    "job.end.completed": ("задание закончено успешно", "the job ended with a success"),
    "job.end.failed": ("задание закончено неудачей", "the job ended with a failure"),
    "job.end.gone": ("задание закончено: результата у fal больше нет", "the job ended: fal has its result no more"),
    "job.end.superseded": (
        "бот начал заново: аватар носит другой номер",
        "the bot began anew: the avatar has another id",
    ),
    "job.end.ended": ("задание закончено: {outcome}", "the job ended: {outcome}"),
    "job.given_up": ("от задания отказались: {reason}", "the job was given up: {reason}"),
    "delivery.arrived": ("пришёл вебхук fal, доставка {id}", "fal's webhook arrived, delivery {id}"),
    "delivery.fetched": ("результат взят у fal, доставка {id}", "the result was fetched from fal, delivery {id}"),
    "delivery.repeated": ("доставка {id} повторена; раз: {times}", "delivery {id} was repeated; times: {times}"),
    "delivery.images.completed": (
        "доставка {id} применена: изображения готовы",
        "delivery {id} was applied: the images are ready",
    ),
    "delivery.images.failed": (
        "доставка {id} применена: изображения не получились",
        "delivery {id} was applied: the images failed",
    ),
    "delivery.completed": ("доставка {id} применена: аватар готов", "delivery {id} was applied: the avatar is ready"),
    "delivery.failed": (
        "доставка {id} применена: обучение не удалось",
        "delivery {id} was applied: the training failed",
    ),
    "delivery.already_completed": (
        "доставка {id}: аватар уже был готов с тем же результатом",
        "delivery {id}: the avatar had this very result already",
    ),
    "delivery.already_final": (
        "доставка {id}: аватар уже был закончен, нового в ней нет",
        "delivery {id}: the avatar had ended before, and this adds nothing",
    ),
    "delivery.done": ("доставка {id} закончена: {reason}", "delivery {id} is done: {reason}"),
    "delivery.dead": ("доставка {id} отложена: {reason}", "delivery {id} was set aside: {reason}"),
    "delivery.ignored": ("доставка {id} закрыта без применения", "delivery {id} was closed without being applied"),
    "delivery.ended": ("доставка {id}: {state}, {reason}", "delivery {id}: {state}, {reason}"),
    "event.postponed": (
        "доставка {delivery}, сообщение {message}: отложено ({why}), попытка {attempt}",
        "delivery {delivery}, message {message}: postponed ({why}), attempt {attempt}",
    ),
    "event.redriven": (
        "доставка {delivery}, сообщение {message}: {who} велел попробовать снова: {why}",
        "delivery {delivery}, message {message}: {who} had it tried again: {why}",
    ),
    "event.ignored": (
        "доставка {delivery}, сообщение {message}: {who} велел оставить как есть: {why}",
        "delivery {delivery}, message {message}: {who} had it left as it is: {why}",
    ),
    "delivery.emptied": ("тело доставки уже удалено по сроку хранения", "retention has emptied the delivery's body"),
    "message.owed.ready": ("владельцу причитается «готов», сообщение {id}", 'the owner is owed "ready", message {id}'),
    "message.owed.failed": (
        "владельцу причитается «не удалось» ({cause}), сообщение {id}",
        'the owner is owed "failed" ({cause}), message {id}',
    ),
    "message.owed.correction": (
        "владельцу причитается поправка, сообщение {id}",
        "the owner is owed a correction, message {id}",
    ),
    "message.owed.other": ("причитается «{topic}», сообщение {id}", 'owed is "{topic}", message {id}'),
    "message.sent": (
        "сообщение {id} ушло в Telegram под номером {message_id}",
        "message {id} went to Telegram as {message_id}",
    ),
    "message.unsent": ("сообщение {id} записано в журнал: токена нет", "message {id} was written to the log: no token"),
    "message.dead": ("сообщение {id} отложено: {reason}", "message {id} was set aside: {reason}"),
    "message.ignored": (
        "сообщение {id} закрыто без отправки: {reason}",
        "message {id} was closed without being sent: {reason}",
    ),
    "message.ended": ("сообщение {id}: {state}, {reason}", "message {id}: {state}, {reason}"),
    "message.uncertain": (
        "сообщение {id} могло дойти и раньше; отправок без ответа: {times}",
        "message {id} may have arrived before; sends without an answer: {times}",
    ),
    "subject.stands": ("аватар {avatar} сейчас: {status}", "the avatar {avatar} is now: {status}"),
    "subject.another": (
        "аватар {avatar} сейчас: {status}, номер у него уже другой",
        "the avatar {avatar} is now: {status}, and carries another request id",
    ),
    "subject.several": (
        "этот номер носят несколько аватаров: {count}",
        "several avatars carry this request id: {count}",
    ),
    "subject.none": ("ни один аватар не носит этот номер", "no avatar carries this request id"),
    "artifact.unverified": ("файл LoRA ещё никто не видел", "nobody has seen the LoRA's file yet"),
    "artifact.absent": ("файла LoRA по адресу нет", "the LoRA's file is not there"),
}

WAITS: Mapping[str, Bilingual] = {
    "wait.apply": ("сервер вот-вот применит доставку", "the server is about to apply the delivery"),
    "wait.server": (
        "срок настал, но строку никто не берёт: работает ли сервер?",
        "it is due, and nobody takes it: does the server run?",
    ),
    "wait.bot_row": (
        "бот ещё не записал этот номер в avatars.fal_request_id",
        "the bot has not stored this id in avatars.fal_request_id yet",
    ),
    "wait.lock": ("строку аватара сейчас пишет кто-то другой", "somebody else is writing the avatar's row"),
    "wait.result": ("результат спросим у fal ещё раз ({reason})", "fal is asked for the result again ({reason})"),
    "wait.file": ("файл LoRA ещё не появился на CDN fal", "the LoRA's file has not appeared on fal's CDN yet"),
    "wait.key_missing": (
        "нужен FAL_API_KEY: без него fal не спросить",
        "FAL_API_KEY is needed: fal cannot be asked without",
    ),
    "wait.key_refused": ("fal не принимает FAL_API_KEY; нужен новый", "fal refuses FAL_API_KEY; a new one is needed"),
    "wait.account": (
        "аккаунт fal заблокирован; обычно кончился баланс",
        "fal has locked the account; mostly its balance is used up",
    ),
    "wait.after_bug": (
        "повторим после ошибки сервера; сообщите о ней",
        "tried again after a bug of the server's; report it",
    ),
    "wait.again": ("повторим сами ({reason})", "it is tried again by itself ({reason})"),
    "wait.slot": ("очередь на отправку в пределах Telegram", "its turn to be sent within Telegram's limits"),
    "wait.upload": ("место среди загрузок изображений", "room among the uploads of images"),
    "wait.alert": (
        "сначала о сбое узнаёте вы: ждём, пока тревога уйдёт в ваш чат",
        "you hear of the trouble first: it waits until the alert has reached your chat",
    ),
    "wait.sending": ("сообщение отправляется", "the message is being sent"),
    "wait.slow_down": ("Telegram просил подождать", "Telegram asked to wait"),
    "wait.token": (
        "Telegram не принимает токен бота; нужен верный",
        "Telegram refuses the bot's token; the right one is needed",
    ),
    "wait.telegram": ("Telegram не отвечает; повторим сами", "Telegram does not answer; it is tried again by itself"),
    "wait.once_more": ("Telegram не ответил; отправим ещё один раз", "Telegram gave no answer; it is sent once more"),
    "wait.first_look": ("fal ещё не спрашивали", "fal was not asked yet"),
    "wait.fal_queue": ("задание стоит в очереди fal", "the job waits in fal's queue"),
    "wait.fal_work": ("fal работает над заданием", "fal is working on the job"),
    "wait.fetch": ("вебхук или наш запрос принесут результат", "the webhook or our own question brings the result"),
    "wait.confirm_gone": ("fal не узнаёт задание; перепроверяем", "fal does not know the job; it is asked again"),
    "wait.stage": ("fal говорит: {reason}", "fal says: {reason}"),
    "wait.fal_again": ("fal не ответил; спросим снова ({reason})", "fal did not answer; it is asked again ({reason})"),
    "wait.intake": ("сервер скоро заметит это обучение сам", "the server soon meets this training by itself"),
    "wait.hand": (
        "обучение старше сервера: о нём спрашивают только вручную",
        "the training is older than this server: it is asked about by hand only",
    ),
    "wait.put_right": (
        "строку сбили; сервер вернёт её за минуту",
        "the row was set back; the server puts it right within a minute",
    ),
    "decide.orphan": (
        "решение за вами: впишите номер в avatars.fal_request_id и повторите; чужое задание закройте",
        "yours to decide: put the id into avatars.fal_request_id and redrive; ignore a job of others",
    ),
    "decide.conflict": (
        "решение за вами: доставка противоречит аватару; сравните и закройте",
        "yours to decide: the delivery contradicts the avatar; compare, then ignore",
    ),
    "decide.key_back": (
        "решение за вами: наладьте ключ или баланс и повторите",
        "yours to decide: mend key or balance, then redrive",
    ),
    "decide.fal_back": ("решение за вами: когда fal ответит, повторите", "yours to decide: redrive when fal is back"),
    "decide.nothing_to_apply": (
        "решение за вами: применять нечего, обучить заново; доставку закройте",
        "yours to decide: there is nothing to apply, train again; ignore the delivery",
    ),
    "decide.file": (
        "решение за вами: файла LoRA нет; откройте его адрес",
        "yours to decide: the LoRA is not there; open its address",
    ),
    "decide.mismatch": (
        "решение за вами: подпись и тело называют разные задания; закройте",
        "yours to decide: signature and body name different jobs; ignore",
    ),
    "decide.row": (
        "решение за вами: поправьте строку аватара и повторите ({reason})",
        "yours to decide: correct the avatar's row, then redrive ({reason})",
    ),
    "decide.format": (
        "решение за вами: формат fal непонятен ({reason}); сообщите",
        "yours to decide: fal's format is not understood ({reason}); report it",
    ),
    "decide.emptied": (
        "решение за вами: тело удалено, применить нельзя; закройте",
        "yours to decide: the body is gone, nothing can be applied; ignore",
    ),
    "decide.after_bug": (
        "решение за вами: ошибка сервера; после обновления повторите",
        "yours to decide: a bug of the server's; redrive after the update",
    ),
    "decide.owner_left": (
        "решение за вами: владелец закрыл бота; повторите, когда вернётся",
        "yours to decide: the owner left the bot; redrive when they are back",
    ),
    "decide.chat_id": (
        "решение за вами: users.telegram_id не номер чата; исправьте и повторите",
        "yours to decide: users.telegram_id is no chat id; correct it, then redrive",
    ),
    "decide.told_perhaps": (
        "решение за вами: сообщение могло дойти; спросите владельца или рискните повтором",
        "yours to decide: the message may have arrived; ask the owner, or redrive and risk a copy",
    ),
    "decide.telegram_back": (
        "решение за вами: когда Telegram ответит, повторите",
        "yours to decide: redrive when Telegram is back",
    ),
    "decide.wording": (
        "решение за вами: Telegram не берёт такой текст; сообщите об ошибке",
        "yours to decide: Telegram never takes this text; report it",
    ),
    "decide.unsent": (
        "решение за вами: токен теперь есть, отправьте сообщение",
        "yours to decide: there is a token now, send the message",
    ),
    "decide.no_token": (
        "решение за вами: задайте TELEGRAM_TOKEN, потом отправьте",
        "yours to decide: set TELEGRAM_TOKEN, then send it",
    ),
    "decide.endpoint": (
        "решение за вами: задание отправлено туда, где мы не ищем; зарегистрируйте его с endpoint",
        "yours to decide: the job is at an endpoint that is not known here; register it with its endpoint",
    ),
    "decide.fal_odd": (
        "решение за вами: ответы fal бессмысленны; спросите ещё раз",
        "yours to decide: fal's answers made no sense; ask once more",
    ),
    "decide.entered_before": (
        "решение за вами: тот же результат уже был и ничего не изменил",
        "yours to decide: the same result had been here and changed nothing",
    ),
    "decide.job": (
        "решение за вами: от задания отказались ({reason})",
        "yours to decide: the job was given up ({reason})",
    ),
    "decide.other": ("решение за вами: {reason}", "yours to decide: {reason}"),
}

ENDS: Mapping[str, Bilingual] = {
    "end.told.ready": ("владельцу сказано, что аватар готов", "the owner was told that the avatar is ready"),
    "end.told.failed": ("владельцу сказано, что не удалось", "the owner was told that it failed"),
    "end.told.correction": ("владельцу сказано, как на самом деле", "the owner was told how it really is"),
    "end.told.other": ("сообщение «{topic}» отправлено", 'the message "{topic}" was sent'),
    "end.told_perhaps_twice": ("владельцу сказано, возможно дважды", "the owner was told, perhaps twice"),
    "end.superseded": (
        "бот начал заново, говорить некому и не о чем",
        "the bot began anew, so nobody is told anything",
    ),
    "end.unsent_forgotten": (
        "сообщение не отправлено и уже удалено по сроку",
        "the message was never sent, and retention has emptied it",
    ),
    "end.message_closed": ("сообщение закрыто без отправки", "the message was closed without being sent"),
    "end.closed": ("доставки закрыты без применения", "the deliveries were closed without being applied"),
    "end.nothing_owed": ("менять и сообщать было нечего", "there was nothing to change and nobody to tell"),
    "end.before_us": (
        "аватар носит этот номер, но через сервер он не проходил",
        "an avatar carries this id, but nothing of it went through this server",
    ),
    "end.never_heard": (
        "об этом номере сервер не слышал; проверьте, верен ли он",
        "this server never heard of the id; check that it is right",
    ),
}

WORDS: Mapping[str, Bilingual] = {**HAPPENED, **WAITS, **ENDS}
