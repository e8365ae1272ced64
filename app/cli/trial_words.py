"""What `aisha-webhook try` says: a sentence for each step, and one with a command for each way to fail."""

from app.domain.language import Msgid, msgid

HEAD: Msgid = msgid(
    "A trial delivery through the running server {url}; the bot, its avatars and the totals are not touched."
)
RIGHT: Msgid = msgid("The whole way took {ms} ms.")
NEXT: Msgid = msgid("Next: {command}")

STEPS: dict[str, Msgid] = {
    "key": msgid("the key of this installation was read: {path}"),
    "answered": msgid("the signed webhook was accepted: HTTP {status}"),
    "stored": msgid("stored in the database: delivery {delivery}"),
    "applied": msgid("applied, nothing of the bot's was touched"),
    "sent": msgid("message {message_id} was sent to chat {chat_id}"),
    "unsent": msgid("the message is shown here: TELEGRAM_TOKEN is not set"),
    "no_chat": msgid("the message is shown here: OPERATOR_CHAT_ID is not set"),
}

FAILED: dict[str, Msgid] = {
    "no_key": msgid("there is no {path}: the server has not been started with these settings yet"),
    "replica_key": msgid("the keys belong to replicas: ask one of them"),
    "key_closed": msgid("{path} is closed to this account, it belongs to {owner}"),
    "key_broken": msgid("{path} holds no key: a restart makes one"),
    "no_server": msgid("{url} does not answer ({why}): the server is not running, or listens elsewhere"),
    "unknown_path": msgid("{url} does not know trials (404): another server, or one that was not restarted yet"),
    "other_key": msgid("{url} does not know the key: its DATA_DIR is another one, not {folder}"),
    "not_local": msgid("{url} takes us for another machine: there is a proxy between, ask the server itself"),
    "refused": msgid("{url} refused the delivery: HTTP {status} {answer}"),
    "other_database": msgid(
        "the webhook was accepted, but the database of these settings has no such delivery: the server uses another"
    ),
    "not_applied": msgid("delivery {delivery} was not applied within {seconds} s ({why})"),
    "not_sent": msgid("the message was not sent ({why}{detail})"),
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
