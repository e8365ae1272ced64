"""What each doubt about a certificate says, by its code; the doctor's findings of these codes say the same."""

from collections.abc import Mapping

from app.domain.language import Bilingual

DOUBTS: Mapping[str, Bilingual] = {
    "dates.ends_now": (
        "срок кончается {until}, осталось {days} дн.: меньше шестой части",
        "it ends on {until}, {days} days left: less than a sixth",
    ),
    "dates.expired": (
        "срок вышел {until}: клиенты отказываются соединяться",
        "it expired on {until}: clients refuse to connect",
    ),
    "dates.not_yet_valid": ("сертификат начнёт действовать только {since}", "it becomes valid only on {since}"),
    "dates.issuer_expired": (
        "промежуточный «{subject}» просрочен с {until}: цепочке не поверят",
        'the intermediate "{subject}" expired on {until}: the chain will not be believed',
    ),
    "names.uncovered": (
        "сертификат выдан на {names}, а не на {name}: fal и curl откажутся",
        "the certificate is for {names}, not for {name}: fal and curl will refuse it",
    ),
    "names.none": (
        "в сертификате нет имён (subjectAltName); имя из CN клиенты давно не читают",
        "the certificate has no names (subjectAltName); clients no longer read the common name",
    ),
    "keys.rsa_short": (
        "«{subject}»: ключ RSA {bits} бит, клиенты и сам OpenSSL требуют 2048",
        '"{subject}": the RSA key has {bits} bits, clients and OpenSSL itself ask for 2048',
    ),
    "keys.curve": (
        "«{subject}»: кривая {curve}; клиенты знают P-256, P-384, P-521",
        '"{subject}": the curve is {curve}; clients know P-256, P-384, P-521',
    ),
    "keys.unknown": (
        "«{subject}»: ключ вида {kind} для TLS не годится",
        '"{subject}": a {kind} key is of no use for TLS',
    ),
    "keys.digest": (
        "«{subject}»: подписан через {digest}, такой подписи больше не верят",
        '"{subject}": signed with {digest}, which nobody believes any more',
    ),
}
