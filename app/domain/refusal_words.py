"""Why something was not taken, in one plain sentence for the operator. The codes are those of docs/errors.md."""

from app.domain.language import Msgid, msgid

WORDS: dict[str, Msgid] = {
    "header_malformed": msgid(
        "fal's headers are damaged: one is empty, doubled or of the wrong form. If fal sent it, a proxy spoils them."
    ),
    "body_incomplete": msgid("The connection ended before the whole body had come. fal sends it again."),
    "host_not_allowed": msgid(
        "The Host header does not name this server. Add the name to ALLOWED_HOSTS, or let the proxy pass Host on."
    ),
    "malformed_request": msgid("This is no HTTP/1.1 request: a scanner, or a proxy that speaks something else."),
    "signature_missing": msgid(
        "The request is not signed: the X-Fal-Webhook-* headers are missing. fal always signs, so it was not fal."
    ),
    "signature_malformed": msgid("The signature has the wrong form. If fal sent it, a proxy spoils the header."),
    "signature_invalid": msgid("No key of fal's made this signature: a forgery, or a proxy changes the body."),
    "signatures_failing": msgid(
        "Too many wrong signatures came from this address. A right one from there is still taken."
    ),
    "timestamp_outside_window": msgid(
        "The signature's time is over 5 minutes from this server's clock: the clock is wrong, or it is a replay."
    ),
    "account_foreign": msgid("fal signed it, but for another account. Check FAL_USER_ID."),
    "address_not_listed": msgid("The address is not on fal's list. Behind a proxy set FORWARDED_ALLOW_IPS."),
    "not_found": msgid("The path resembles a webhook's but is none: case and a trailing slash count."),
    "method_not_allowed": msgid("The webhook takes POST and nothing else."),
    "request_timeout": msgid("The request did not arrive within CLIENT_TIMEOUT: a slow or hanging client."),
    "body_too_large": msgid(
        "The body is larger than MAX_BODY_BYTES. Where fal puts files into it (sync_mode), raise that."
    ),
    "media_type_unsupported": msgid("There is not exactly one Content-Type: application/json."),
    "encoding_unsupported": msgid("The body is compressed (Content-Encoding), and this server inflates nothing."),
    "version_not_supported": msgid("The request speaks neither HTTP/1.1 nor HTTP/1.0."),
    "headers_too_large": msgid(
        "There are more than 100 headers, or more than 64 KiB of them. No ordinary client does that."
    ),
    "keys_unavailable": msgid(
        "There are no fresh keys of fal's to judge with. Allow HTTPS to rest.fal.ai; fal sends it again."
    ),
    "bodies_crowded": msgid(
        "The memory for unfinished bodies is full, or this address has its share. fal sends it again."
    ),
    "database_unavailable": msgid(
        "The database did not store the delivery in time. It is not lost: fal sends it again."
    ),
    "internal_error": msgid(
        "A bug of this server; the log has the details. The delivery is not lost: fal sends it again."
    ),
    "connections_full": msgid("All connections are taken (MAX_CONNECTIONS)."),
    "connections_share": msgid(
        "One address has all of its share of connections. Behind a proxy set FORWARDED_ALLOW_IPS."
    ),
    "plain_http": msgid("A client spoke plain HTTP to the port of HTTPS. Its URL should begin with https://."),
}
OTHER = msgid("The request was not taken: {code}.")


def sentence(code: str) -> Msgid:
    """Return the sentence for a code, with a place `{code}` where there is none of its own."""
    return WORDS.get(code, OTHER)
