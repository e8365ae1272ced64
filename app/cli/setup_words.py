"""What `aisha-webhook setup` asks and says."""

from app.domain.language import Msgid, msgid

QUESTIONS: dict[str, Msgid] = {
    "api_domain": msgid("The domain at which fal calls the server (such as hooks.example.com)"),
    "database_url": msgid(
        "The bot's database: postgresql://name:password@host/database (in a password @ : / are %40 %3A %2F)"
    ),
    "telegram_token": msgid("The bot's token from @BotFather"),
    "operator_chat_id": msgid("Your chat for alerts: the number from @userinfobot; write /start to the bot first"),
    "fal_api_key": msgid("The API key of fal (fal.ai/dashboard/keys)"),
    "fal_user_id": msgid("Your account's id at fal: foreign deliveries are refused then"),
}

SAYS: dict[str, Msgid] = {
    "intro": msgid("Enter keeps what stands in [brackets]; “-” takes a value away; Ctrl-C writes nothing."),
    "kept": msgid("set, not shown"),
    "none": msgid("none"),
    "environment": msgid("{name} is set in the environment, which wins over .env: not asked"),
    "again": msgid("Once more? The same answer keeps it as it is."),
    "elsewhere": msgid("{name} leads to {addresses}, no address of this machine; behind NAT or a proxy that is right"),
    "database_missing": msgid("there is no {file} yet: the first start makes it"),
    "folder_closed": msgid("the folder {folder} cannot be written to"),
    "told": msgid("message {message_id} reached chat {chat_id}"),
    "not_told": msgid("no message reached chat {chat_id}: {why}"),
    "no_token_no_chat": msgid("without a token the chat cannot be checked"),
    "test_message": msgid("The webhook server: alerts will arrive here."),
    "written": msgid("{path} was written ({mode}): {names}"),
    "same": msgid("Nothing changed, {path} was left alone."),
    "next": msgid("Next: {command}"),
    "refused": msgid("Nothing was written. Correct it, or add --no-check"),
    "ended": msgid("The input ended: nothing was written"),
    "no_terminal": msgid("There is nobody to ask: stdin is no terminal. Give the answers as options: {flags}"),
    "unreadable": msgid("{path}: {why}. Run it as its owner: sudo -u {owner} {command}"),
    "not_utf8": msgid("{path} is no UTF-8 text"),
    "unquotable": msgid(
        "{name}: a value with ', \\ or ${{ cannot be written alike for all; put it into a file: {name}_FILE=/path"
    ),
}
