"""Names as only the worst of owners would choose them, made of pieces by a seed."""

import random

PIECES = (
    # what turns a line
    "\u202e", "\u202d", "\u2066", "\u2067", "\u2068", "\u2069", "\u200e", "\u200f", "\u061c", "שלום", "مرحبا", "١٢٣",
    "\u2069\u2069\u2069", "א.b",
    # what is not seen
    "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u3164", "\u115f", "\uffa0", "\u2800", "\ufe0f",
    "\U000e0041\U000e007f", "\u034f", "\U000e0100", "\ufff9x\ufffb",
    # emoji of more than one code point
    "👩\u200d👩\u200d👧\u200d👦", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "🇰🇿", "👍🏽",
    "1\ufe0f\u20e3",
    "🏳\ufe0f\u200d🌈", "\U0001fae8",
    # letters with marks, and more marks than letters
    "e\u0301", "க்ஷி", "می\u200cخواهم", "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334", "\u0301\u0301", "각",
    # markup and placeholders
    "<b>", "</b>", "&amp;", "&", '<a href="tg://user?id=1">', "<tg-spoiler>", "*_`[", "{name}", "{0}", "%s", "${x}",
    "{label}",
    # what Telegram makes links of
    "@durov", "t.me/durov", "https://evil.example/x?y#z", "tg://resolve?domain=x", "a@b.ru", "#tag", "$USD", "/start",
    "/start@bot", "+77011234567", "4111 1111 1111 1111", "4111111111111111", "пример.рф", "1.2.3.4", "evil.com",
    # lines and controls
    "\n", "\r\n", "\t", "\x00", "\x1b[31m", "\u2028", "\u2029", "\x85", "\u00a0", "\u3000", "\v", " ",
    # what is no text
    "\ud83d", "\ue000", "\ufdd0", "\U0010ffff",
    # plain ones
    "Айша", "Лето", "Әсем", "x", "…", "«", "»", "“",
)  # fmt: skip


def naughty_names(count: int, seed: int) -> list[str]:
    """Make `count` names: mostly a few pieces, some as long as the bot allows (100 characters), some of one piece."""
    chance = random.Random(seed)
    names = list(PIECES)
    while len(names) < count:
        pieces = chance.choices(PIECES, k=chance.choice([2, 3, 4, 8, 60]))
        names.append("".join(pieces)[:100] if len(pieces) > 8 else "".join(pieces))
    return chance.sample(names, count)
