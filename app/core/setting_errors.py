"""What the operator reads when a setting is wrong, in Russian or English; a value is never part of it."""

from dataclasses import dataclass

from app.core.text import one_line

Bilingual = tuple[str, str]  # Russian, English

WRONG: dict[str, Bilingual] = {
    "unknown": ("неизвестное имя, похоже на опечатку", "unknown name, looks like a typo"),
    "no_equals": ("нет знака «=»", "no '=' sign"),
    "unreadable_line": ("строку нельзя прочитать как ИМЯ=значение", "the line cannot be read as NAME=value"),
    "unreadable_file": ("файл нельзя прочитать", "the file cannot be read"),
    "not_utf8": ("файл не в UTF-8", "the file is not UTF-8"),
    "not_a_file": ("это не обычный файл", "this is not a regular file"),
    "too_long_file": ("файл слишком велик для секрета", "the file is too large for a secret"),
    "empty_file": ("файл пуст", "the file is empty"),
    "world_readable": ("файл с секретом читает кто угодно", "the secret's file is readable by everyone"),
    "twice": ("задано и значение, и файл", "both the value and its file are given"),
    "quoted": ("кавычки стали частью значения", "the quotes became part of the value"),
    "blank": ("только пробелы", "nothing but spaces"),
    "control": ("непечатаемый символ в значении", "an unprintable character in the value"),
    "secret_junk": ("пробел или кавычка внутри секрета", "a space or a quote inside the secret"),
    "token_short": ("токен короче 32 знаков", "a token shorter than 32 characters"),
    "int_parsing": ("не целое число", "not a whole number"),
    "float_parsing": ("не число", "not a number"),
    "bool_parsing": ("не да и не нет", "neither true nor false"),
    "literal_error": ("такого варианта нет", "no such choice"),
    "range": ("вне допустимых пределов", "out of range"),
    "length": ("слишком коротко или слишком длинно", "too short or too long"),
    "url": ("не адрес URL", "not a URL"),
    "url_plain": ("http:// годится только для этой же машины", "http:// is accepted for this same machine only"),
    "url_password": ("имя или пароль внутри URL", "a user name or password inside the URL"),
    "url_query": ("лишнее «?» или «#» в адресе", "a stray '?' or '#' in the address"),
    "url_public": ("не адрес, который откроет чужой телефон", "not an address that anybody's phone can open"),
    "endpoint": ("не адрес модели на fal", "not an endpoint of fal's"),
    "origin": ("у источника не бывает пути", "an origin has no path"),
    "host": ("не имя узла и не IP", "neither a host name nor an IP"),
    "host_pattern": ("не имя узла и не *.имя", "neither a host name nor *.name"),
    "artifact_host": ("не имя в интернете", "not a name on the internet"),
    "mark": ("не узел и не начало id от 4 знаков", "neither a host nor the beginning of an id, from 4 characters"),
    "network": ("не IP-адрес и не сеть", "neither an IP address nor a network"),
    "network_bits": ("адрес внутри сети вместо её начала", "an address inside a network instead of its start"),
    "trusts_all": ("доверие всем даёт любому подделать свой IP", "trusting everybody lets anyone forge their IP"),
    "list_json": ("испорченный список JSON", "a broken JSON list"),
    "list_empty": ("список пуст", "the list is empty"),
    "database_scheme": ("такая база не поддержана", "no such database is supported"),
    "database_memory": ("база в памяти теряет принятое", "a database in memory loses what was accepted"),
    "file_name": ("нужно имя файла без папки", "a file name without a folder is needed"),
    "same_file": ("оба журнала в одном файле", "both logs in one file"),
    "no_home": ("домашняя папка неизвестна", "the home folder is unknown"),
    "proxy": ("не адрес прокси", "not the address of a proxy"),
    "proxy_scheme": ("такой прокси не поддержан", "no such proxy is supported"),
    "ca_file": ("в файле нет сертификатов PEM", "there are no PEM certificates in the file"),
    "ca_folder": ("в папке нет корневых сертификатов", "there are no root certificates in the folder"),
    "zero": ("ноль — не чат", "zero is not a chat"),
    "misfit": ("значение не подходит", "the value does not fit"),
}
PYDANTIC = {
    "int_from_float": "int_parsing",
    "int_parsing_size": "range",
    "finite_number": "range",
    "greater_than": "range",
    "greater_than_equal": "range",
    "less_than": "range",
    "less_than_equal": "range",
    "string_too_short": "length",
    "string_too_long": "length",
    "too_short": "length",
    "too_long": "length",
}
ENVIRONMENT: Bilingual = ("окружение", "environment")
NOT_SET: Bilingual = ("по умолчанию", "default")
WRITE: Bilingual = ("Напишите", "Write")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was found: the environment, a line of `.env`, and perhaps a secret's file named there."""

    line: int | None = None  # None: the environment; 0: the whole file; -1: the default
    env_file: str = ".env"
    secret_file: str | None = None

    def words(self, language: int) -> str:
        """Name the place, such as `.env line 4` or `file /run/x; environment`; language 0 is Russian, 1 English."""
        if self.line is None:
            place = ENVIRONMENT[language]
        elif self.line < 0:
            place = NOT_SET[language]
        elif self.line == 0:
            place = one_line(self.env_file)
        else:
            place = f"{one_line(self.env_file)}{(', строка ', ' line ')[language]}{self.line}"
        if self.secret_file is None:
            return place
        return f"{('файл', 'file')[language]} {one_line(self.secret_file)}; {place}"


DEFAULT = Origin(-1)


@dataclass(frozen=True, slots=True)
class SettingError:
    """One thing that is wrong: the name as the operator wrote it, where, the code from WRONG, what to write instead."""

    name: str
    origin: Origin
    code: str
    remedy: Bilingual

    def line(self, language: int) -> str:
        """Word it in one line without the value; language 0 is Russian, 1 English."""
        code = PYDANTIC.get(self.code, self.code)
        wrong = WRONG.get(code, WRONG["misfit"])[language]
        place = self.origin.words(language)
        return f"{one_line(self.name)} ({place}): {wrong}. {WRITE[language]}: {self.remedy[language]}"
