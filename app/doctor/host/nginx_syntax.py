"""A parser of nginx's configuration into blocks and directives.

Source: nginx "Beginner's Guide", section "Configuration File's Structure".
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""\s+ | \#[^\n]* | (?P<mark>[{};]) | "(?P<double>(?:\\.|[^"\\])*)" | '(?P<single>(?:\\.|[^'\\])*)'
      | (?P<word>(?:\\.|\$\{[^}]*\}|[^\s{};"'\\])(?:\\.|\$\{[^}]*\}|[^\s{};\\])*) | (?P<stray>.)""",
    re.VERBOSE | re.DOTALL,
)

DEEPEST = 30  # blocks and includes within one another; a file that includes itself ends here


@dataclass(slots=True)
class Directive:
    """One directive: its name, its arguments, and what stands in its block."""

    name: str
    arguments: list[str]
    block: list["Directive"] = field(default_factory=list)

    def all(self, name: str) -> list["Directive"]:
        """Return the directives of this name that stand directly in the block."""
        return [directive for directive in self.block if directive.name == name]

    def first(self, name: str) -> str | None:
        """Return the first argument of the first such directive; None without one."""
        found = self.all(name)
        return found[0].arguments[0] if found and found[0].arguments else None


def read(text: str) -> Directive:
    """Read a configuration into a root without a name. Syntax errors are skipped: `nginx -t` reports them."""
    root = Directive("", [])
    open_blocks = [root]
    words: list[str] = []
    for token, is_mark in _tokens(text):
        if not is_mark:
            words.append(token)
        elif token == "}":  # noqa: S105  a brace, not a password
            words = []
            if len(open_blocks) > 1:
                open_blocks.pop()
        elif words:
            directive = Directive(words[0], words[1:])
            words = []
            open_blocks[-1].block.append(directive)
            if token == "{":  # noqa: S105  as above
                open_blocks.append(directive)
    return root


Matching = Callable[[str], list[str]]


def expand(block: Directive, matching: Matching, depth: int = 0) -> Directive:
    """Put what `include` names in its place; `matching` gives the texts of the files that a pattern fits."""
    lines: list[Directive] = []
    for line in block.block:
        if line.name == "include" and line.arguments and depth < DEEPEST:
            for text in matching(line.arguments[0]):
                lines += expand(read(text), matching, depth + 1).block
        else:
            lines.append(expand(line, matching, depth + 1) if line.block else line)
    return Directive(block.name, block.arguments, lines)


def _tokens(text: str) -> Iterator[tuple[str, bool]]:
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "mark":
            yield match["mark"], True
        elif kind is not None and kind != "stray":
            yield match[kind], False
