"""Generated pages on what users meet: commands, the HTTP API, errors, metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer

from riskcast.core import errors as tree
from riskcast.core.settings import Settings

NOWHERE = "/nonexistent/riskcast"  # the home of an app that is described and never started


def commands() -> str:
    """Return the page of every command: usage, what it does, arguments and options."""
    from riskcast.cli import __doc__ as told
    from riskcast.cli import app

    out = ["# Commands\n", f"{told}\n"]
    root = typer.main.get_command(app)
    for name, command in _leaves("riskcast", root):
        context = command.make_context(name, [], resilient_parsing=True)
        pieces = command.collect_usage_pieces(context)
        usage = " ".join((name, *(re.sub(r"[{}]", "", piece) for piece in pieces)))
        out += [f"## {name}\n", f"```text\n{usage}\n```\n", f"{_prose(command.help)}\n"]
        rows = [_parameter(each) for each in command.params if each.name != "help"]
        if rows:
            out += ["| argument or option | default | meaning |", "|---|---|---|", *rows, ""]
    return "\n".join(out)


def _leaves(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, with the words that call it."""
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, each in sorted(command.commands.items()):
        yield from _leaves(f"{path} {name}", each)


def _prose(text: str | None) -> str:
    return "\n".join(line.strip() for line in (text or "").splitlines())


def _parameter(parameter: Any) -> str:
    names = [f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts)]
    if parameter.param_type_name == "argument":
        names = [f"`{parameter.make_metavar(None)}`"]
    default = "" if parameter.default in (None, "", False, ()) else f"`{parameter.default}`"
    if parameter.secondary_opts:
        default = names[0] if parameter.default else names[-1]
    if parameter.required:
        default = "required"
    return _row(" ".join(names), default, getattr(parameter, "help", "") or "")


def http() -> str:
    """Return the page of every route: scope of its errors, parameters, body and answer."""
    from riskcast.serving.app import create_app

    described = create_app(Settings(home=NOWHERE)).openapi()
    out = [
        "# HTTP API\n",
        "From the OpenAPI document that a server gives at `/openapi.json`; `/docs` lets you try "
        "it. Keys, streams and error codes: [API](api.md).\n",
    ]
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            out += _operation(f"{method.upper()} {path}", operation)
    out += ["## Shapes\n"]
    for name, schema in sorted(described["components"]["schemas"].items()):
        out += [f"### {name}\n"]
        out += [f"{_one_line(schema['description'])}\n"] if "description" in schema else []
        out += [*_fields(schema), ""]
    return "\n".join(out)


def _operation(title: str, operation: dict[str, Any]) -> list[str]:
    out = [f"## {title}\n", f"{operation['summary']}. {_one_line(operation['description'])}\n"]
    if given := operation.get("parameters"):
        out += ["| parameter | type | meaning |", "|---|---|---|"]
        out += [
            _row(f"`{p['name']}` ({p['in']})", _type(p["schema"]), p.get("description", ""))
            for p in given
        ] + [""]
    if body := operation.get("requestBody"):
        out += ["Body:\n", *_fields(_content(body)), ""]
    out += ["| status | answer | when |", "|---|---|---|"]
    for status, answer in operation["responses"].items():
        shape = _type(_content(answer)) if answer.get("content") else ""
        out.append(_row(status, shape, answer["description"]))
    return [*out, ""]


def _content(holder: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = next(iter(holder["content"].values())).get("schema", {})
    return schema


def _fields(schema: dict[str, Any]) -> list[str]:
    if not schema.get("properties"):
        return [f"A {_type(schema)}."]
    needed = schema.get("required", ())
    return ["| field | type | meaning |", "|---|---|---|"] + [
        _row(
            f"`{name}`{' (required)' if name in needed else ''}",
            _type(field),
            field.get("description", ""),
        )
        for name, field in schema["properties"].items()
    ]


def _type(schema: dict[str, Any]) -> str:
    """Return a JSON schema's type in a few words, a named shape as a link."""
    if ref := schema.get("$ref"):
        name = ref.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if options := schema.get("anyOf"):
        return " or ".join(_type(each) for each in options)
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    words = (schema.get("type", "any"), schema.get("format"))
    return " ".join(word for word in words if word)


def errors() -> str:
    """Return the page of every named error: its code, its cause and its cure."""
    causes = dict(re.findall(r"(\w+) {2,}(\S.*)$", tree.__doc__ or "", re.MULTILINE))
    out = [
        "# Errors\n",
        "The command prints `error [code] message (this page)` and ends with 3, or 4 where a gate "
        'refused; the API answers `{"error": {"code", "message", "fix"}}`. The message holds the '
        "place and the value. Codes that only the API has: [API](api.md#error-codes).\n",
    ]
    for each in _below(tree.RiskcastError):
        cause = causes.get(each.__name__, "")
        family = " › ".join(base.code for base in reversed(each.__mro__[1:-3]))  # type: ignore[attr-defined]
        out += [f"## {each.code}\n"]
        out += [f"{cause[:1].upper()}{cause[1:]}.\n"] if cause else []
        out += [f"**Cure:** {each.cure}\n"]
        out += [f"`{each.__name__}`" + (f", a kind of {family}" if family else "") + "\n"]
    return "\n".join(out)


def _below(error: type[tree.RiskcastError]) -> Iterator[type[tree.RiskcastError]]:
    """Yield the errors of the tree below one, each before its own."""
    for each in error.__subclasses__():
        if each.__module__ == tree.__name__:
            yield each
            yield from _below(each)


def metrics() -> str:
    """Return the page of every figure for Prometheus and CloudWatch."""
    from riskcast.serving.app import create_app

    out = [
        "# Metrics\n",
        "`GET /metrics` of a model server, at its own port and with a key of scope `observe`, "
        "answers in the Prometheus text format.\n",
        "| name | kind | labels | meaning |",
        "|---|---|---|---|",
    ]
    for family in create_app(Settings(home=NOWHERE)).state.metrics.described():
        labels = ", ".join(f"`{label}`" for label in getattr(family, "_labelnames", ()))
        name = f"{family.name}_total" if family.type == "counter" else family.name
        out.append(_row(f"`{name}`", family.type, labels, family.documentation))
    out += [
        "",
        "## CloudWatch\n",
        "With `RISKCAST_CLOUDWATCH` set to a namespace, each run of `monitor` publishes:\n",
        "| name | dimensions | meaning |",
        "|---|---|---|",
        "| `Verdict` | Product, Check, Subject | 0 ok, 1 warn, 2 alarm |",
        "| `Value` | Product, Check, Subject | what was found |",
        "| `Alarms` | Product, Check | how many subjects alarm |",
        "",
    ]
    return "\n".join(out)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _one_line(text: str) -> str:
    return " ".join(text.split())
