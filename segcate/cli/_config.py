"""The options of a run as a TOML file that another run reads."""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segcate import __version__
from segcate.cli._options import OPTIONS, Option
from segcate.cli._problems import Problems, UserError
from segcate.findings import Description

# They belong to a single call, not to the analysis.
_OF_THE_CALL = ("config", "out", "quiet", "debug")
_DESCRIPTION = tuple(field.name for field in dataclasses.fields(Description))
_KINDS = {int: "a whole number", float: "a number", bool: "true or false"}


def config_text(options: Mapping[str, Any], sha256: str | None) -> str:
    """Write options as TOML: a table a group of the help.

    Parameters
    ----------
    options : values by key; "data" is the file, "description" the words of the user
    sha256 : of the data; None where they were not read as one file
    """
    lines = [
        "# What `segcate run` was asked for. The same again: segcate run --config THIS_FILE --out DIR",
        f"segcate = {_value(__version__)}",
        f"data = {_value(options['data'])}",
        *([] if sha256 is None else [f"sha256 = {_value(sha256)}"]),
    ]
    for group in dict.fromkeys(option.group for option in OPTIONS):
        rows = [
            f"{option.key} = {_value(options[option.key])}"
            for option in OPTIONS
            if option.group == group and option.key not in _OF_THE_CALL
            if options[option.key] not in (None, [], ())
        ]
        lines += ["", f"[{group}]", *rows] if rows else []
    words = {name: text for name, text in options.get("description", {}).items() if text}
    if words:
        lines += ["", "[description]", *(f"{k} = {_value(v)}" for k, v in words.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """Write a value as TOML; strings of JSON are strings of TOML but for one sign."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def read_config(path: str) -> dict[str, Any]:
    """Read the options of a file.

    Returns
    -------
    dict
        Values by key, only those that the file has; "data", "sha256" and "description" as well.

    Raises
    ------
    UserError
        If there is no such file, or something in it is no option; all of it is said at once.
    """
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--config: {path!r} cannot be read: {error.strerror or error}.") from error
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise UserError(f"--config: {path!r} is not a TOML file: {error}.") from error
    problems = Problems()
    options: dict[str, Any] = {}
    by_place = {(option.group, option.key): option for option in OPTIONS}
    for name, content in found.items():
        if name in ("segcate", "data", "sha256"):
            options[name] = str(content)
        elif name == "description" and isinstance(content, dict):
            options[name] = _description(path, content, problems)
        elif isinstance(content, dict):
            for key, value in content.items():
                option = by_place.get((name, key))
                if option is None or key in _OF_THE_CALL:
                    problems.add(_unknown(path, name, key))
                else:
                    options[key] = _checked(path, option, value, problems)
        else:
            problems.add(_unknown(path, "", name))
    problems.stop()
    return options


def _description(path: str, content: Mapping[str, Any], problems: Problems) -> dict[str, str]:
    for key in content:
        if key not in _DESCRIPTION:
            allowed = ", ".join(_DESCRIPTION)
            problems.add(f"--config: {path!r}, [description] has no {key!r}; it has {allowed}.")
    return {key: str(text) for key, text in content.items() if key in _DESCRIPTION}


def _unknown(path: str, table: str, key: str) -> str:
    groups = {option.key: option.group for option in OPTIONS if option.key not in _OF_THE_CALL}
    close = difflib.get_close_matches(key, groups, n=1)
    hint = f" Did you mean {close[0]} in [{groups[close[0]]}]?" if close else ""
    where = f"[{table}] {key}" if table else key
    return f"--config: {path!r}, {where} is no option.{hint}"


def _checked(path: str, option: Option, value: Any, problems: Problems) -> Any:
    """Check a value as if it had been typed."""
    where = f"--config: {path!r}, [{option.group}] {option.key}"
    if option.is_list:
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            problems.add(f'{where} must be a list of texts, ["A", "B"]; got {value!r}.')
        return value
    if option.is_flag:
        if not isinstance(value, bool):
            problems.add(f"{where} must be true or false; got {value!r}.")
        return value
    if option.choices and value not in option.choices:
        problems.add(f"{where} must be one of {', '.join(option.choices)}; got {value!r}.")
        return value
    try:
        return option.read(str(value))
    except Exception as error:  # as argparse has it
        problems.add(f"{where} {error}.")
        return value
