"""The wording of findings about the certificate's files, dates, names and keys."""

from app.doctor.finding import Catalogue, Level, Wording
from app.domain.language import Bilingual
from app.tls.doubt_words import DOUBTS

RESTORE: Bilingual = (
    "Верните файл из копии или создайте новую пару.",
    "Restore the file from a copy or make a new pair.",
)
SWAPPED: Bilingual = ("Похоже, файлы перепутаны местами.", "The two files were probably swapped.")
TO_PEM: Bilingual = ("Переведите файл в PEM.", "Convert the file to PEM.")
AS_TEXT: Bilingual = ("Перепишите файл обычным текстом.", "Rewrite the file as plain text.")
ORDER_NEW: Bilingual = ("Закажите новый сертификат.", "Order a new certificate.")

# What to do about each cause in CAUSES, beside the command that stands there.
REMEDIES: dict[str, Bilingual] = {
    "missing": RESTORE,
    "twin_missing": RESTORE,
    "dangling": (
        "Верните файл, на который ведёт ссылка, или создайте новую пару.",
        "Put back the file that the link leads to, or make a new pair.",
    ),
    "unreadable": ("Дайте серверу читать файл.", "Let the server read the file."),
    "foreign": ("Спросите от имени владельца файла.", "Ask as the owner of the file."),
    "foreign_folder": ("Создайте пару от имени владельца папки.", "Make the pair as the owner of the folder."),
    "unwritable": ("Дайте серверу писать в папку.", "Let the server write into the folder."),
    "too_large": RESTORE,
    "empty": RESTORE,
    "der_certificate": TO_PEM,
    "der_key": TO_PEM,
    "encrypted": ("Снимите пароль с ключа.", "Take the password off the key."),
    "no_certificate": RESTORE,
    "no_key": RESTORE,
    "key_not_certificate": SWAPPED,
    "certificate_not_key": SWAPPED,
    "cut_short": ("Скопируйте файл заново, целиком.", "Copy the file again, to its end."),
    "damaged": RESTORE,
    "mismatch": (
        "Найдите ключ, с которым запрашивали сертификат, или создайте новую пару.",
        "Find the key the certificate was requested with, or make a new pair.",
    ),
    "odd": ORDER_NEW,
    "early": (
        "Проверьте часы этой машины; если они верны, подождите: сервер возьмёт его сам.",
        "Look at the clock of this machine; if it is right, wait: the server will take it by itself.",
    ),
    "expired": (
        "Похоже, вместо нового сертификата положен старый: возьмите новый.",
        "An old certificate was probably put in place of the new one: take the new one.",
    ),
    "starved": (
        "Если само не пройдёт, поднимите LimitNOFILE= службы или освободите память.",
        "If it does not pass by itself, raise LimitNOFILE= of the service or free some memory.",
    ),
    "refused": RESTORE,
}
FILE_WORDS: Catalogue = {
    "files.ok": Wording(
        Level.OK, ("{cert} и {key} читаются и подходят друг другу", "{cert} and {key} can be read and belong together")
    ),
    "files.byte_order_mark": Wording(
        Level.WARN,
        (
            "{file} начинается с метки BOM: мы читаем его и так, nginx и openssl — нет",
            "{file} begins with a byte order mark: it is read all the same, but not by nginx and openssl",
        ),
        AS_TEXT,
        command="sed -i '1s/^\\xEF\\xBB\\xBF//' {file}",
    ),
    "files.windows_lines": Wording(
        Level.WARN,
        (
            "{file} записан с концами строк Windows (CRLF): он читается и так",
            "{file} has the line ends of Windows (CRLF): it is read all the same",
        ),
        AS_TEXT,
        command="sed -i 's/\\r$//' {file}",
    ),
    "files.key_open": Wording(
        Level.WARN,
        (
            "{file}: закрытый ключ доступен не только владельцу и группе (права {mode})",
            "{file}: the private key is open to others than its owner and group (mode {mode})",
        ),
        ("Оставьте чтение владельцу и группе.", "Let its owner and group read it, nobody else."),
        command="chmod o=,g-w {file}",
    ),
}
DATE_WORDS: Catalogue = {
    "dates.ok": Wording(Level.OK, ("срок до {until}, осталось {days} дн.", "valid until {until}, {days} days left")),
    "dates.ends_soon": Wording(
        Level.WARN,
        (
            "срок кончается {until}, осталось {days} дн.: меньше трети; продление, похоже, не сработало",
            "it ends on {until}, {days} days left: less than a third; renewal seems not to have worked",
        ),
        (
            "Продлите сертификат сейчас и проверьте автоматическое продление.",
            "Renew it now and look at the automatic renewal.",
        ),
    ),
    "dates.ends_now": Wording(
        Level.FAIL,
        DOUBTS["dates.ends_now"],
        ("Продлите сертификат сегодня.", "Renew it today."),
    ),
    "dates.expired": Wording(
        Level.FAIL,
        DOUBTS["dates.expired"],
        ("Получите новый сертификат.", "Get a new certificate."),
    ),
    "dates.not_yet_valid": Wording(
        Level.FAIL,
        DOUBTS["dates.not_yet_valid"],
        (
            "Проверьте часы этой машины; если они верны, подождите или поставьте прежний сертификат.",
            "Look at the clock of this machine; if it is right, wait or put the previous certificate back.",
        ),
        command="timedatectl",
    ),
    "dates.issuer_expired": Wording(
        Level.FAIL,
        DOUBTS["dates.issuer_expired"],
        ("Возьмите у издателя нынешний промежуточный.", "Get the present intermediate from the issuer."),
    ),
}
NAME_WORDS: Catalogue = {
    "names.ok": Wording(Level.OK, ("имена: {names}", "names: {names}")),
    "names.uncovered": Wording(
        Level.FAIL,
        DOUBTS["names.uncovered"],
        (
            "Закажите сертификат на {name} или исправьте API_DOMAIN и FAL_WEBHOOK_URL.",
            "Order a certificate for {name}, or put API_DOMAIN and FAL_WEBHOOK_URL right.",
        ),
    ),
    "names.none": Wording(
        Level.FAIL,
        DOUBTS["names.none"],
        ("Закажите сертификат на {name}.", "Order a certificate for {name}."),
    ),
}
KEY_WORDS: Catalogue = {
    "keys.ok": Wording(Level.OK, ("ключ {key_type}, подпись {digest}", "key {key_type}, signature {digest}")),
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
        (
            "«{subject}»: ключ Ed25519 понимают не все клиенты, и общедоступные центры его не подписывают",
            '"{subject}": few clients understand an Ed25519 key, and no public authority signs one',
        ),
        ("Надёжнее сертификат с ключом P-256.", "A certificate with a P-256 key is the safer one."),
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
