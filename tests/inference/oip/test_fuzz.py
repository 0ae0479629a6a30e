"""Bodies that nobody would send: each is answered with what the document says, never with an internal error.

A good request is changed at random, in its JSON and in its bytes, some hundred times here; `make fuzz` changes it
100,000 times.
"""

import copy
import json
import os
import random
import struct
from collections import Counter
from typing import Any

import httpx
import numpy as np
import pytest

from tests.inference.helpers import ACCESS, CLIENT, CONNECTION, check_problem

pytestmark = pytest.mark.anyio

NUM_BODIES = int(os.environ.get("PUPPET_TEST_BODIES", "400"))
SIZES = {"FP32": 4, "FP64": 8}
STATUSES = {200, 400, 404}  # of a body; that a type or a page is refused does not depend on it
ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 2**31, 2**40, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308, "", " ", "a", "text"),
    *("\x00", "é" * 3, "\ud800", "[]", '["a"]', '["a"', "{}", [], [1], [[1]], [["a"]], ["a", "b"], {}, {"a": 1}),
    *("BYTES", "FP32", "FP64", "INT8", "category", "probabilities", "tokens", "features", "x" * 5000),
]
KEYS = ["name", "datatype", "shape", "data", "parameters", "binary_data_size", "binary_data", "binary_data_output",
        "abstain", "among", "otherwise", "timeout", "id", "inputs", "outputs", "model_name", "priority"]  # fmt: skip


def packed(texts: list[str]) -> bytes:
    """Return texts as Triton writes them."""
    raw = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(one)) + one for one in raw)


def good(chance: random.Random) -> tuple[str, dict[str, Any], bytes]:
    """Return a good request: the model, its JSON, and the bytes behind it."""
    tickets = chance.choices([CONNECTION, ACCESS, CLIENT, ["zzz"]], k=chance.randint(1, 3))
    body: dict[str, Any]
    if chance.random() < 0.3:
        datatype = chance.choice(["FP32", "FP64"])
        rows = [[50.0, 2.0]] * len(tickets)
        tensor: dict[str, Any] = {"name": "features", "shape": [len(rows), 2], "datatype": datatype, "data": rows}
        model, behind = "prices", np.array(rows, f"<f{SIZES[datatype]}").tobytes()
        names = ["value"]
    else:
        name = chance.choice(["text", "tokens"])
        data = [json.dumps(one) if name == "tokens" else " ".join(one) for one in tickets]
        tensor = {"name": name, "shape": [len(data)], "datatype": "BYTES", "data": data}
        model, behind = "puppet-o2", packed(data)
        names = ["category", "confidence", "reason", "probabilities"]
    if chance.random() < 0.5:
        del tensor["data"]
        tensor["parameters"] = {"binary_data_size": len(behind)}
    else:
        behind = b""
    body = {"inputs": [tensor]}
    if chance.random() < 0.5:
        body["outputs"] = [{"name": name, "parameters": {"binary_data": chance.random() < 0.5}} for name in names]
    if chance.random() < 0.5:
        body["parameters"] = {"binary_data_output": chance.random() < 0.5}
        if model == "puppet-o2":
            body["parameters"]["among"] = ["Accès utilisateur"]
    return model, body, behind


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return each place inside a JSON value: the object or list, and the name or number."""
    found: list[tuple[Any, Any]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        found += [(value, key), *places(inner)]
    return found


def changed(chance: random.Random, body: dict[str, Any]) -> None:
    """Change one thing of a JSON value: a value, a name, or leave it out."""
    within, key = chance.choice(places(body) or [(body, "inputs")])
    change = chance.random()
    if change < 0.6:
        within[key] = copy.deepcopy(chance.choice(ODD))
    elif change < 0.8 and isinstance(within, dict):
        within[chance.choice(KEYS)] = within.pop(key, None)
    elif isinstance(within, list):
        within.insert(chance.randint(0, len(within)), copy.deepcopy(chance.choice(ODD)))
    else:
        within.pop(key, None)


def spoilt(chance: random.Random, raw: bytes) -> bytes:
    """Change some bytes: one bit, a piece left out, a piece twice, an end cut off or added."""
    if not raw:
        return bytes(chance.randrange(256) for _ in range(chance.randint(0, 8)))
    start, end = sorted(chance.choices(range(len(raw) + 1), k=2))
    match chance.randrange(5):
        case 0:
            at = chance.randrange(len(raw))
            return raw[:at] + bytes([raw[at] ^ 1 << chance.randrange(8)]) + raw[at + 1 :]
        case 1:
            return raw[:start] + raw[end:]
        case 2:
            return raw[:end] + raw[start:]
        case 3:
            return raw[:start]
        case _:
            return raw + bytes(chance.randrange(256) for _ in range(chance.randint(1, 8)))


def check_good(response: httpx.Response) -> None:
    """Check that every size of a good answer adds up to the byte."""
    header = response.headers.get("inference-header-content-length")
    num_json = int(header) if header is not None else len(response.content)
    behind = response.content[num_json:]
    for output in json.loads(response.content[:num_json])["outputs"]:
        size = int(np.prod(output["shape"]))
        if "data" in output:
            assert len(output["data"]) == size
            continue
        num_bytes = output["parameters"]["binary_data_size"]
        part, behind = behind[:num_bytes], behind[num_bytes:]
        assert len(part) == num_bytes
        if output["datatype"] != "BYTES":
            assert num_bytes == size * SIZES[output["datatype"]]
            assert np.isfinite(np.frombuffer(part, f"<f{SIZES[output['datatype']]}")).all()
            continue
        for _ in range(size):
            (length,) = struct.unpack_from("<I", part)
            part[4 : 4 + length].decode()
            part = part[4 + length :]
        assert not part
    assert not behind


async def test_fuzzed_bodies_have_a_documented_answer(client: httpx.AsyncClient) -> None:
    """200 with sizes that add up, or a refusal with a type, a place and `error`; good ones and bad ones occur."""
    document = (await client.get("/schema/openapi.json")).json()
    documented = document["paths"]["/v2/models/{name}/infer"]["post"]["responses"]
    assert {str(status) for status in STATUSES} <= set(documented)
    statuses = Counter[int]()
    for seed in range(NUM_BODIES):
        chance = random.Random(seed)
        model, body, behind = good(chance)
        for _ in range(chance.choice([0, 1, 1, 2, 3])):
            changed(chance, body)
        head = json.dumps(body).encode()
        if chance.random() < 0.2:
            head = spoilt(chance, head)
        if chance.random() < 0.3:
            behind = spoilt(chance, behind)
        length = len(head) + (chance.randint(-3, 3) if chance.random() < 0.1 else 0)
        headers = {"Inference-Header-Content-Length": str(length)} if behind or chance.random() < 0.5 else {}

        response = await client.post(f"/v2/models/{model}/infer", content=head + behind, headers=headers)

        assert response.status_code in STATUSES, (seed, response.text)
        statuses[response.status_code] += 1
        if response.status_code == 200:
            check_good(response)
        else:
            problem = check_problem(response, response.status_code)
            assert problem["error"].startswith(problem["detail"]), seed
            if problem["type"] == "/problems/does-not-fit":
                assert all(fault["type"] and fault["pointer"] is not None for fault in problem["errors"]), seed
    assert min(statuses[200], statuses[400]) > NUM_BODIES / 10, statuses
