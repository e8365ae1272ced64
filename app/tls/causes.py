"""What can be wrong with one file of the pair, and the command that mends it."""

from app.domain.language import Msgid, msgid

SELF_SIGNED = "cert self-signed"
ANEW = f"mv {{cert}} {{cert}}.old; mv {{key}} {{key}}.old; aisha-webhook {SELF_SIGNED}"
# cause: (what is wrong, the command that mends it)
CAUSES: dict[str, tuple[Msgid, str]] = {
    "missing": (msgid("there is no such file"), "aisha-webhook cert self-signed"),
    "dangling": (
        msgid("the link leads to where nothing is: {reason}; put the file back or make a new pair"),
        ANEW,
    ),
    "twin_missing": (
        msgid("there is no such file, while {other} is in place; restore it from a copy or make a new pair"),
        "mv {other} {other}.old && aisha-webhook cert self-signed",
    ),
    "unreadable": (
        msgid("cannot be read ({reason})"),
        "sudo chown {account} {file} && sudo chmod u+r {file}",
    ),
    "foreign": (
        msgid(
            "belongs to {account} and is closed to us ({reason}); whether the server reads it cannot be told from here"
        ),
        "sudo -u {sudo_name} {python} -m app.cli doctor",
    ),
    "unwritable": (
        msgid("cannot be written ({reason})"),
        "sudo install -d -o {account} {folder}",
    ),
    "foreign_folder": (
        msgid("cannot be written ({reason}): the folder belongs to {account}"),
        "sudo -u {sudo_name} {python} -m app.cli cert self-signed",
    ),
    "too_large": (msgid("larger than 1 MiB: this is no PEM file"), ANEW),
    "empty": (msgid("the file is empty"), ANEW),
    "der_certificate": (
        msgid("this is DER (binary), PEM is needed"),
        "openssl x509 -inform DER -in {file} -out {file}.pem && mv {file}.pem {file}",
    ),
    "der_key": (
        msgid("this is DER (binary), PEM is needed"),
        "(umask 077; openssl pkey -inform DER -in {file} -out {file}.pem) && mv {file}.pem {file}",
    ),
    "encrypted": (
        msgid("the key is encrypted and nobody is there to type its password"),
        "(umask 077; openssl pkey -in {file} -out {file}.plain) && mv {file}.plain {file}",
    ),
    "no_certificate": (msgid("the file holds no certificate"), ANEW),
    "no_key": (msgid("the file holds no private key"), ANEW),
    "key_not_certificate": (
        msgid("the file holds a private key instead of a certificate"),
        ANEW,
    ),
    "certificate_not_key": (
        msgid("the file holds a certificate instead of a private key"),
        ANEW,
    ),
    "cut_short": (msgid("the file ends in the middle of a certificate"), ANEW),
    "damaged": (msgid("the content is damaged {reason}"), ANEW),
    "mismatch": (
        msgid("the key is not that of the certificate {other}; put the one it was requested with, or make a new pair"),
        ANEW,
    ),
    "odd": (
        msgid("the fields of the certificate cannot be read ({reason})"),
        "openssl x509 -in {file} -noout -text",
    ),
    "early": (
        msgid("the certificate becomes valid only on {reason}; until then the previous one is served"),
        "timedatectl",
    ),
    "expired": (
        msgid("the certificate expired on {reason}; the previous one, still valid, is served"),
        "openssl x509 -in {file} -noout -subject -dates",
    ),
    "starved": (
        msgid("the system is short of resources just now ({reason}); the server tries again by itself"),
        "systemctl show -p LimitNOFILE aisha-webhook-api; cat /proc/sys/fs/file-nr; free -m",
    ),
    "refused": (
        msgid("OpenSSL cannot serve this certificate ({reason})"),
        ANEW,
    ),
}
MENDED_BY = msgid("To mend it")
