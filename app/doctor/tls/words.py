"""The wording of findings about the certificate's files, dates, names and keys."""

from app.doctor.finding import Catalogue, Level, Wording
from app.domain.language import Msgid, msgid
from app.tls.doubt_words import DOUBTS

RESTORE: Msgid = msgid("Restore the file from a copy or make a new pair.")
SWAPPED: Msgid = msgid("The two files were probably swapped.")
TO_PEM: Msgid = msgid("Convert the file to PEM.")
AS_TEXT: Msgid = msgid("Rewrite the file as plain text.")
ORDER_NEW: Msgid = msgid("Order a new certificate.")

# What to do about each cause in CAUSES, beside the command that stands there.
REMEDIES: dict[str, Msgid] = {
    "missing": RESTORE,
    "twin_missing": RESTORE,
    "dangling": msgid("Put back the file that the link leads to, or make a new pair."),
    "unreadable": msgid("Let the server read the file."),
    "foreign": msgid("Ask as the owner of the file."),
    "foreign_folder": msgid("Make the pair as the owner of the folder."),
    "unwritable": msgid("Let the server write into the folder."),
    "too_large": RESTORE,
    "empty": RESTORE,
    "der_certificate": TO_PEM,
    "der_key": TO_PEM,
    "encrypted": msgid("Take the password off the key."),
    "no_certificate": RESTORE,
    "no_key": RESTORE,
    "key_not_certificate": SWAPPED,
    "certificate_not_key": SWAPPED,
    "cut_short": msgid("Copy the file again, to its end."),
    "damaged": RESTORE,
    "mismatch": msgid("Find the key the certificate was requested with, or make a new pair."),
    "odd": ORDER_NEW,
    "early": msgid("Look at the clock of this machine; if it is right, wait: the server will take it by itself."),
    "expired": msgid("An old certificate was probably put in place of the new one: take the new one."),
    "starved": msgid("If it does not pass by itself, raise LimitNOFILE= of the service or free some memory."),
    "refused": RESTORE,
}
FILE_WORDS: Catalogue = {
    "files.ok": Wording(Level.OK, msgid("{cert} and {key} can be read and belong together")),
    "files.byte_order_mark": Wording(
        Level.WARN,
        msgid("{file} begins with a byte order mark: it is read all the same, but not by nginx and openssl"),
        AS_TEXT,
        command="sed -i '1s/^\\xEF\\xBB\\xBF//' {file}",
    ),
    "files.windows_lines": Wording(
        Level.WARN,
        msgid("{file} has the line ends of Windows (CRLF): it is read all the same"),
        AS_TEXT,
        command="sed -i 's/\\r$//' {file}",
    ),
    "files.key_open": Wording(
        Level.WARN,
        msgid("{file}: the private key is open to others than its owner and group (mode {mode})"),
        msgid("Let its owner and group read it, nobody else."),
        command="chmod o=,g-w {file}",
    ),
}
DATE_WORDS: Catalogue = {
    "dates.ok": Wording(Level.OK, msgid("valid until {until}, {days} days left")),
    "dates.ends_soon": Wording(
        Level.WARN,
        msgid("it ends on {until}, {days} days left: less than a third; renewal seems not to have worked"),
        msgid("Renew it now and look at the automatic renewal."),
    ),
    "dates.ends_now": Wording(
        Level.FAIL,
        DOUBTS["dates.ends_now"],
        msgid("Renew it today."),
    ),
    "dates.expired": Wording(
        Level.FAIL,
        DOUBTS["dates.expired"],
        msgid("Get a new certificate."),
    ),
    "dates.not_yet_valid": Wording(
        Level.FAIL,
        DOUBTS["dates.not_yet_valid"],
        msgid("Look at the clock of this machine; if it is right, wait or put the previous certificate back."),
        command="timedatectl",
    ),
    "dates.issuer_expired": Wording(
        Level.FAIL,
        DOUBTS["dates.issuer_expired"],
        msgid("Get the present intermediate from the issuer."),
    ),
}
NAME_WORDS: Catalogue = {
    "names.ok": Wording(Level.OK, msgid("names: {names}")),
    "names.uncovered": Wording(
        Level.FAIL,
        DOUBTS["names.uncovered"],
        msgid("Order a certificate for {name}, or put API_DOMAIN and FAL_WEBHOOK_URL right."),
    ),
    "names.none": Wording(
        Level.FAIL,
        DOUBTS["names.none"],
        msgid("Order a certificate for {name}."),
    ),
}
KEY_WORDS: Catalogue = {
    "keys.ok": Wording(Level.OK, msgid("key {key_type}, signature {digest}")),
    "keys.rsa_short": Wording(
        Level.FAIL,
        DOUBTS["keys.rsa_short"],
        ORDER_NEW,
    ),
    "keys.curve": Wording(
        Level.FAIL,
        DOUBTS["keys.curve"],
        ORDER_NEW,
    ),
    "keys.ed25519": Wording(
        Level.WARN,
        msgid('"{subject}": few clients understand an Ed25519 key, and no public authority signs one'),
        msgid("A certificate with a P-256 key is the safer one."),
    ),
    "keys.unknown": Wording(
        Level.FAIL,
        DOUBTS["keys.unknown"],
        ORDER_NEW,
    ),
    "keys.digest": Wording(
        Level.FAIL,
        DOUBTS["keys.digest"],
        ORDER_NEW,
    ),
}
