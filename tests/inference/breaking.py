"""Which differences between two OpenAPI documents break a client that was generated from the first.

In: two documents. Out: a sentence for each difference, with the operation first. What is added breaks nobody: a new
operation, a field that may be left out, a field of an answer. The rules are those of oasdiff, as far as this project's
documents need them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

SHOWN = ("description", "summary", "examples", "example", "title")  # for people; no rule looks at them
Document = Mapping[str, Any]


def without_words(node: Any) -> Any:
    """Return a document without what only people read; a property of such a name stays."""
    if isinstance(node, dict):
        is_schema = not isinstance(node.get("title", ""), dict) and not isinstance(node.get("description", ""), dict)
        kept = {key: one for key, one in node.items() if not (is_schema and key in SHOWN)}
        return {key: without_words(one) for key, one in kept.items()}
    return [without_words(one) for one in node] if isinstance(node, list) else node


def breaking(old: Document, new: Document) -> list[str]:
    """Return what breaks, in the order of the old document."""
    found: list[str] = []
    for path, methods in old["paths"].items():
        for method, before in methods.items():
            after = new["paths"].get(path, {}).get(method)
            name = before["operationId"]
            if after is None:
                found.append(f"{name}: {method.upper()} {path} is gone")
                continue
            found += [f"{name}: {one}" for one in _Pair(old, new).operation(before, after)]
    return found


class _Pair:
    """Two documents, and which pairs of their schemas have been compared: a schema may hold itself."""

    def __init__(self, old: Document, new: Document) -> None:
        self._old, self._new = old, new
        self._seen: set[tuple[str, str, bool]] = set()

    def operation(self, old: Document, new: Document) -> Iterator[str]:
        """Yield what breaks in one operation."""
        if old["operationId"] != new["operationId"]:
            yield f"is called {new['operationId']}"
        before, after = ({(p["name"], p["in"]): p for p in one.get("parameters", ())} for one in (old, new))
        yield from (f"parameter {name} is gone" for name, place in before if (name, place) not in after)
        for key, parameter in after.items():
            if parameter.get("required") and not before.get(key, {}).get("required"):
                yield f"parameter {key[0]} is required"
            if key in before:
                yield from self.schema(before[key]["schema"], parameter["schema"], True, f"parameter {key[0]}")
        taken, takes = (one.get("requestBody", {}).get("content", {}) for one in (old, new))
        yield from self._contents(taken, takes, True, "body")
        if takes and not taken:
            yield "a body is required"
        for status, response in old["responses"].items():
            if status not in new["responses"]:
                if status.startswith("2"):
                    yield f"answer {status} is gone"
                continue
            answered = new["responses"][status]
            yield from (f"header {one} of {status} is gone"
                        for one in response.get("headers", {}) if one not in answered.get("headers", {}))  # fmt: skip
            yield from self._contents(response.get("content", {}), answered.get("content", {}), False, status)

    def _contents(self, old: Document, new: Document, is_request: bool, where: str) -> Iterator[str]:
        for media_type, one in old.items():
            if media_type not in new:
                yield f"{where}: {media_type} is gone"
            elif "schema" in one:
                yield from self.schema(one["schema"], new[media_type].get("schema", {}), is_request, where)

    def schema(self, old: Document, new: Document, is_request: bool, where: str) -> Iterator[str]:
        """Yield what breaks between two schemas: of a request what it takes no more, of an answer what it has not."""
        if "$ref" in old and "$ref" in new:
            pair = (old["$ref"], new["$ref"], is_request)
            if pair in self._seen:
                return
            self._seen.add(pair)
        old, new = _resolved(self._old, old), _resolved(self._new, new)
        if "anyOf" in old or "anyOf" in new:
            yield from self._choices(old, new, is_request, where)
            return
        for word in ("type", "enum"):
            before, after = (set(_listed(one[word])) if word in one else None for one in (old, new))
            wide, narrow = (after, before) if is_request else (before, after)
            if wide is not None and (narrow is None or not narrow <= wide):
                yield f"{where}: {word} was {_said(before)}, is {_said(after)}"
        missing, needed = (set(one.get("required", ())) for one in (old, new))
        for name in sorted(needed - missing if is_request else missing - needed):
            yield f"{where}: {name} is {'required' if is_request else 'not sure to be there'}"
        for name, one in old.get("properties", {}).items():
            if name not in new.get("properties", {}):
                yield f"{where}: {name} is gone"
            else:
                yield from self.schema(one, new["properties"][name], is_request, f"{where}: {name}")
        if "items" in old and "items" in new:
            yield from self.schema(old["items"], new["items"], is_request, where)

    def _choices(self, old: Document, new: Document, is_request: bool, where: str) -> Iterator[str]:
        """Yield what breaks where one of several schemas fits: which there are, and in those of one name."""
        before, after = ({_key(one): one for one in side.get("anyOf", [side])} for side in (old, new))
        for name in before.keys() - after.keys() if is_request else after.keys() - before.keys():
            yield f"{where}: {name} is {'taken no more' if is_request else 'a new answer'}"
        for name in before.keys() & after.keys():
            yield from self.schema(before[name], after[name], is_request, where)


def _resolved(document: Document, schema: Document) -> Document:
    if "$ref" not in schema:
        return schema
    found: Document = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def _key(schema: Document) -> str:
    return str(schema["$ref"].rpartition("/")[2] if "$ref" in schema else schema.get("type", "anything"))


def _listed(value: Any) -> list[Any]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _said(values: set[Any] | None) -> str:
    return "anything" if values is None else ", ".join(sorted(values))
