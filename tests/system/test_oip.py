"""Clients of the Open Inference Protocol that others wrote, against a real server: Triton's, and a generated one."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import open_inference.openapi.client
import pytest
import tritonclient.http
import tritonclient.http.aio
from open_inference.openapi.errors import BadRequestError, NotFoundError
from tritonclient.utils import InferenceServerException

from tests.conftest import FIXTURE_STORE
from tests.system.server import Server, serving

pytestmark = pytest.mark.system

generated: Any = open_inference.openapi.client  # typed for a reader of its own, which leaves nothing out
NAME, TOKEN = "puppet-o2", "search-token-of-the-tests"
TEXTS = ["avoir problème connexion", "ajouter utilisateur coffre", "création client"]
CATEGORIES = ["Problème de connexion", "Accès utilisateur", "Création de client"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a server over the fixture store that only a token opens."""
    folder = tmp_path_factory.mktemp("oip")
    shutil.copytree(FIXTURE_STORE, folder / "store")
    (folder / "store").chmod(0o700)
    with serving(folder, folder / "store", ["--trainer", "none"], PUPPET_SEARCH_TOKEN=TOKEN) as server:
        yield server


def token() -> dict[str, str]:
    """Return headers that open the server; new ones, for Triton's client writes into what it is given."""
    return {"Authorization": f"Bearer {TOKEN}"}


def text_input(texts: list[str], shape: list[int], *, is_binary: bool) -> tritonclient.http.InferInput:
    """Return texts as Triton's client sends them."""
    tensor = tritonclient.http.InferInput("text", shape, "BYTES")
    tensor.set_data_from_numpy(np.array(texts, dtype=object).reshape(shape), binary_data=is_binary)
    return tensor


def wanted(*names: str, is_binary: bool) -> list[tritonclient.http.InferRequestedOutput]:
    """Return outputs as Triton's client asks for them."""
    return [tritonclient.http.InferRequestedOutput(name, binary_data=is_binary) for name in names]


def words(tensor: Any) -> list[str]:
    """Return the elements of an output of BYTES, which comes as text in JSON and as bytes behind it."""
    return [one.decode() if isinstance(one, bytes) else str(one) for one in tensor]


def searched(server: Server, **body: Any) -> list[dict[str, Any]]:
    """Return what /search answers."""
    response = server.client.post("/search", json={"name": NAME, "neural_network_type": "GRU"} | body, headers=token())
    found: list[dict[str, Any]] = response.json()["results"]
    return found


@pytest.mark.parametrize("is_binary", [True, False])
@pytest.mark.parametrize("shape", [[3], [3, 1]])
def test_triton_client(server: Server, is_binary: bool, shape: list[int]) -> None:
    """Health, metadata and inference, in both encodings and shapes, with and without a version."""
    client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}")
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(NAME, headers=token())
    assert not client.is_model_ready(NAME, "7", headers=token())
    assert client.get_server_metadata()["name"] == "puppet"
    metadata = client.get_model_metadata(NAME, headers=token())
    tensor = text_input(TEXTS, shape, is_binary=is_binary)
    outputs = wanted("category", "confidence", "reason", "probabilities", is_binary=is_binary)

    for version in ("", "1"):
        result = client.infer(NAME, [tensor], version, outputs=outputs, request_id="42", headers=token())

        assert words(result.as_numpy("category")) == CATEGORIES
        expected = [one["confidence"] for one in searched(server, texts=TEXTS)]
        assert result.as_numpy("confidence") == pytest.approx(expected)
        assert words(result.as_numpy("reason")) == [""] * 3
        probabilities_NC = result.as_numpy("probabilities")
        assert probabilities_NC.shape == (3, 3)
        labels = metadata["parameters"]["categories"]
        assert [labels[label] for label in probabilities_NC.argmax(axis=1)] == CATEGORIES
        assert (result.get_response()["id"], result.get_response()["model_version"]) == ("42", "1")


def test_triton_client_by_default(server: Server) -> None:
    """Without outputs it asks for all of them as bytes; parameters and tokens go along."""
    client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}")
    tokens = tritonclient.http.InferInput("tokens", [1], "BYTES")
    tokens.set_data_from_numpy(np.array([json.dumps(["avoir", "problème", "connexion"])], dtype=object))
    among = json.dumps(CATEGORIES[1:])

    result = client.infer(NAME, [tokens], headers=token(), parameters={"among": among}, timeout=60_000_000, priority=3)

    assert words(result.as_numpy("category"))[0] in CATEGORIES[1:]
    assert result.as_numpy("confidence").dtype == np.float32
    assert result.as_numpy("probabilities") is None


def test_triton_client_reads_refusals(server: Server) -> None:
    """Its exception says what is wrong, and where."""
    client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}")
    tensor = text_input(TEXTS, [3], is_binary=True)

    with pytest.raises(InferenceServerException, match="/parameters/among/0: is 'Facture'"):
        client.infer(NAME, [tensor], headers=token(), parameters={"among": ["Facture"]})
    with pytest.raises(InferenceServerException, match="none was sent") as refused:
        client.infer(NAME, [tensor])
    assert refused.value.status() == "401"
    with pytest.raises(InferenceServerException, match="version 7 of puppet-o2 does not serve"):
        client.infer(NAME, [tensor], "7", headers=token())
    with pytest.raises(InferenceServerException, match="/parameters/abstian"):
        client.infer(NAME, [tensor], headers=token(), parameters={"abstian": True})
    with pytest.raises(InferenceServerException, match="Model not found"):
        client.get_inference_statistics(headers=token())
    with pytest.raises(InferenceServerException, match="Content-Encoding 'gzip'"):
        client.infer(NAME, [tensor], headers=token(), request_compression_algorithm="gzip")


@pytest.mark.parametrize("is_binary", [True, False])
def test_triton_client_on_asyncio(server: Server, is_binary: bool) -> None:
    """The other client sends a content type of its own choice, and many requests at once."""

    async def ask() -> list[list[str]]:
        async with tritonclient.http.aio.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
            assert await client.is_server_ready()
            assert await client.is_model_ready(NAME, headers=token())
            answers = await asyncio.gather(
                *(
                    client.infer(
                        NAME,
                        [text_input([text], [1], is_binary=is_binary)],
                        outputs=wanted("category", is_binary=is_binary),
                        headers=token(),
                    )
                    for text in TEXTS * 20
                )
            )
            return [words(answer.as_numpy("category")) for answer in answers]

    # In a thread of its own: the browser of other tests has left a running loop in this one.
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(asyncio.run, ask()).result()
    assert found == [[category] for category in CATEGORIES * 20]


@pytest.mark.parametrize(("datatype", "dtype"), [("FP32", np.float32), ("FP64", np.float64)])
@pytest.mark.parametrize("is_binary", [True, False])
def test_triton_client_asks_about_numbers(server: Server, datatype: str, dtype: Any, is_binary: bool) -> None:
    """A SimpleNN estimates each row, in both widths and encodings."""
    client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}")
    tensor = tritonclient.http.InferInput("features", [2, 2], datatype)
    tensor.set_data_from_numpy(np.array([[50, 2], [75, 4]], dtype=dtype), binary_data=is_binary)
    body = {"name": "prices", "neural_network_type": "SimpleNN", "vectors": [[50, 2], [75, 4]]}

    result = client.infer("prices", [tensor], headers=token(), outputs=wanted("value", is_binary=is_binary))

    assert result.as_numpy("value").tolist() == [one["value"] for one in searched(server, **body)]


def test_generated_client(server: Server) -> None:
    """The client that was generated from the protocol's own document reads every answer."""
    client = generated.OpenInferenceClient(base_url=f"http://127.0.0.1:{server.port}", httpx_client=server.client)
    server.client.headers.update(token())
    try:
        request = generated.InferenceRequest(
            id="42", inputs=[{"name": "text", "shape": [3], "datatype": "BYTES", "data": TEXTS}]
        )
        client.check_server_liveness()
        client.check_server_readiness()
        client.check_model_readiness(NAME)
        client.check_model_version_readiness(NAME, "1")
        assert client.read_server_metadata().extensions == ["binary_tensor_data", "parameters"]
        assert client.read_model_metadata(NAME).name == NAME
        assert client.read_model_version_metadata(NAME, "1").versions == ["1"]

        for answer in (
            client.model_infer(NAME, request=request),
            client.model_version_infer(NAME, "1", request=request),
        ):
            assert (answer.model_name, answer.model_version, answer.id) == (NAME, "1", "42")
            assert [output.name for output in answer.outputs] == ["category", "confidence", "reason"]
        with pytest.raises(NotFoundError):
            client.check_model_readiness("nobody")
        with pytest.raises(BadRequestError):
            client.model_infer(NAME, request=generated.InferenceRequest(inputs=[]))
    finally:
        server.client.headers.pop("Authorization")
