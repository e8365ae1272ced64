"""Why something was not taken, in one plain sentence for the operator. The codes are those of docs/errors.md."""

from app.domain.language import Bilingual, Language, pick

WORDS: dict[str, Bilingual] = {
    "header_malformed": (
        "Заголовки fal повреждены: один из них пуст, повторён или не той формы. Если это слал fal, их портит прокси.",
        "fal's headers are damaged: one is empty, doubled or of the wrong form. If fal sent it, a proxy spoils them.",
    ),
    "body_incomplete": (
        "Соединение оборвалось раньше, чем пришло всё тело. fal пришлёт снова.",
        "The connection ended before the whole body had come. fal sends it again.",
    ),
    "host_not_allowed": (
        "Заголовок Host называет не этот сервер. Добавьте имя в ALLOWED_HOSTS или передавайте Host через прокси.",
        "The Host header does not name this server. Add the name to ALLOWED_HOSTS, or let the proxy pass Host on.",
    ),
    "malformed_request": (
        "Это не запрос HTTP/1.1: сканер, или обычный HTTP на порт TLS.",
        "This is no HTTP/1.1 request: a scanner, or plain HTTP spoken to the TLS port.",
    ),
    "signature_missing": (
        "Запрос не подписан: заголовков X-Fal-Webhook-* нет. fal подписывает всегда, значит слал не он.",
        "The request is not signed: the X-Fal-Webhook-* headers are missing. fal always signs, so it was not fal.",
    ),
    "signature_malformed": (
        "Подпись не той формы. Если это слал fal, заголовок портит прокси.",
        "The signature has the wrong form. If fal sent it, a proxy spoils the header.",
    ),
    "signature_invalid": (
        "Подпись не сделана ни одним ключом fal: подделка, или прокси меняет тело.",
        "No key of fal's made this signature: a forgery, or a proxy changes the body.",
    ),
    "signatures_failing": (
        "С этого адреса слишком много неверных подписей подряд. Верную подпись оттуда сервер всё равно примет.",
        "Too many wrong signatures came from this address. A right one from there is still taken.",
    ),
    "timestamp_outside_window": (
        "Время подписи расходится с часами сервера больше чем на 5 минут: спешат или отстают часы, либо это повтор.",
        "The signature's time is over 5 minutes from this server's clock: the clock is wrong, or it is a replay.",
    ),
    "account_foreign": (
        "Подписал fal, но для чужого аккаунта. Проверьте FAL_USER_ID.",
        "fal signed it, but for another account. Check FAL_USER_ID.",
    ),
    "address_not_listed": (
        "Адреса нет в списке fal. За прокси задайте FORWARDED_ALLOW_IPS.",
        "The address is not on fal's list. Behind a proxy set FORWARDED_ALLOW_IPS.",
    ),
    "not_found": (
        "Путь похож на путь вебхука, но не он: важны регистр и косая черта в конце.",
        "The path resembles a webhook's but is none: case and a trailing slash count.",
    ),
    "method_not_allowed": (
        "Вебхук принимает только POST.",
        "The webhook takes POST and nothing else.",
    ),
    "request_timeout": (
        "Запрос не пришёл целиком за CLIENT_TIMEOUT: медленный или зависший клиент.",
        "The request did not arrive within CLIENT_TIMEOUT: a slow or hanging client.",
    ),
    "body_too_large": (
        "Тело больше MAX_BODY_BYTES. Если fal кладёт в него файлы (sync_mode), увеличьте это значение.",
        "The body is larger than MAX_BODY_BYTES. Where fal puts files into it (sync_mode), raise that.",
    ),
    "media_type_unsupported": (
        "Нет заголовка Content-Type: application/json, или он не один.",
        "There is not exactly one Content-Type: application/json.",
    ),
    "encoding_unsupported": (
        "Тело сжато (Content-Encoding), а сервер ничего не распаковывает.",
        "The body is compressed (Content-Encoding), and this server inflates nothing.",
    ),
    "version_not_supported": (
        "Запрос не на HTTP/1.1 и не на HTTP/1.0.",
        "The request speaks neither HTTP/1.1 nor HTTP/1.0.",
    ),
    "headers_too_large": (
        "Заголовков больше 100 или они длиннее 64 КиБ. Обычные клиенты так не делают.",
        "There are more than 100 headers, or more than 64 KiB of them. No ordinary client does that.",
    ),
    "keys_unavailable": (
        "Подпись нечем проверить: нет свежих ключей fal. Откройте HTTPS к rest.fal.ai; fal пришлёт снова.",
        "There are no fresh keys of fal's to judge with. Allow HTTPS to rest.fal.ai; fal sends it again.",
    ),
    "bodies_crowded": (
        "Память под незаконченные тела заполнена, или этот адрес занял свою долю. fal пришлёт снова.",
        "The memory for unfinished bodies is full, or this address has its share. fal sends it again.",
    ),
    "database_unavailable": (
        "База не сохранила доставку вовремя. Она не потеряна: fal пришлёт снова.",
        "The database did not store the delivery in time. It is not lost: fal sends it again.",
    ),
    "internal_error": (
        "Ошибка этого сервера, подробности в журнале. Доставка не потеряна: fal пришлёт снова.",
        "A bug of this server; the log has the details. The delivery is not lost: fal sends it again.",
    ),
    "connections_full": (
        "Заняты все соединения (MAX_CONNECTIONS).",
        "All connections are taken (MAX_CONNECTIONS).",
    ),
    "connections_share": (
        "Один адрес занял всю свою долю соединений. За прокси задайте FORWARDED_ALLOW_IPS.",
        "One address has all of its share of connections. Behind a proxy set FORWARDED_ALLOW_IPS.",
    ),
}
OTHER: Bilingual = ("Запрос не принят: {code}.", "The request was not taken: {code}.")


def explain(code: str, language: Language) -> str:
    """Say in one sentence why something with this code was not taken."""
    return pick(WORDS.get(code, OTHER), language).format(code=code)
