"""What can be wrong with one file of the pair, and the command that mends it."""

from app.domain.language import Language

ANEW = "mv {cert} {cert}.old; mv {key} {key}.old; aisha-webhook cert self-signed"
# cause: (Russian, English, the command that mends it)
CAUSES: dict[str, tuple[str, str, str]] = {
    "missing": ("файла нет", "there is no such file", "aisha-webhook cert self-signed"),
    "dangling": (
        "ссылка ведёт туда, где ничего нет: {reason}; верните файл или создайте новую пару",
        "the link leads to where nothing is: {reason}; put the file back or make a new pair",
        ANEW,
    ),
    "twin_missing": (
        "файла нет, а {other} на месте; верните его из копии или создайте новую пару",
        "there is no such file, while {other} is in place; restore it from a copy or make a new pair",
        "mv {other} {other}.old && aisha-webhook cert self-signed",
    ),
    "unreadable": (
        "не читается ({reason})",
        "cannot be read ({reason})",
        "sudo chown {account} {file} && sudo chmod u+r {file}",
    ),
    "foreign": (
        "принадлежит {account} и для нас закрыт ({reason}); читает ли его сервер, отсюда не видно",
        "belongs to {account} and is closed to us ({reason}); whether the server reads it cannot be told from here",
        "sudo -u {sudo_name} {python} -m app.cli doctor",
    ),
    "unwritable": (
        "не записывается ({reason})",
        "cannot be written ({reason})",
        "sudo install -d -o {account} {folder}",
    ),
    "foreign_folder": (
        "не записывается ({reason}): папка принадлежит {account}",
        "cannot be written ({reason}): the folder belongs to {account}",
        "sudo -u {sudo_name} {python} -m app.cli cert self-signed",
    ),
    "too_large": ("больше 1 МиБ: это не PEM", "larger than 1 MiB: this is no PEM file", ANEW),
    "empty": ("файл пуст", "the file is empty", ANEW),
    "der_certificate": (
        "это DER (двоичный), а нужен PEM",
        "this is DER (binary), PEM is needed",
        "openssl x509 -inform DER -in {file} -out {file}.pem && mv {file}.pem {file}",
    ),
    "der_key": (
        "это DER (двоичный), а нужен PEM",
        "this is DER (binary), PEM is needed",
        "(umask 077; openssl pkey -inform DER -in {file} -out {file}.pem) && mv {file}.pem {file}",
    ),
    "encrypted": (
        "ключ зашифрован паролем, серверу его некому ввести",
        "the key is encrypted and nobody is there to type its password",
        "(umask 077; openssl pkey -in {file} -out {file}.plain) && mv {file}.plain {file}",
    ),
    "no_certificate": ("в файле нет сертификата", "the file holds no certificate", ANEW),
    "no_key": ("в файле нет закрытого ключа", "the file holds no private key", ANEW),
    "key_not_certificate": (
        "в файле закрытый ключ вместо сертификата",
        "the file holds a private key instead of a certificate",
        ANEW,
    ),
    "certificate_not_key": (
        "в файле сертификат вместо закрытого ключа",
        "the file holds a certificate instead of a private key",
        ANEW,
    ),
    "cut_short": ("файл обрывается посреди сертификата", "the file ends in the middle of a certificate", ANEW),
    "damaged": ("содержимое повреждено {reason}", "the content is damaged {reason}", ANEW),
    "mismatch": (
        "ключ не от сертификата {other}; положите тот, с которым запрашивали сертификат, или создайте новую пару",
        "the key is not that of the certificate {other}; put the one it was requested with, or make a new pair",
        ANEW,
    ),
    "odd": (
        "поля сертификата нельзя прочитать ({reason})",
        "the fields of the certificate cannot be read ({reason})",
        "openssl x509 -in {file} -noout -text",
    ),
    "early": (
        "сертификат начнёт действовать только {reason}; до тех пор отдаётся прежний",
        "the certificate becomes valid only on {reason}; until then the previous one is served",
        "timedatectl",
    ),
    "expired": (
        "срок сертификата вышел {reason}; отдаётся прежний, он ещё действует",
        "the certificate expired on {reason}; the previous one, still valid, is served",
        "openssl x509 -in {file} -noout -subject -dates",
    ),
    "starved": (
        "системе сейчас не хватает ресурсов ({reason}); сервер сам попробует ещё раз",
        "the system is short of resources just now ({reason}); the server tries again by itself",
        "systemctl show -p LimitNOFILE aisha-webhook-api; cat /proc/sys/fs/file-nr; free -m",
    ),
    "refused": (
        "OpenSSL не может отдавать этот сертификат ({reason})",
        "OpenSSL cannot serve this certificate ({reason})",
        ANEW,
    ),
}
MENDED_BY: dict[Language, str] = {"ru": "Исправить", "en": "To mend it"}
