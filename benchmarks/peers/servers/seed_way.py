"""The seed's way: FastAPI, and PyTorch eager on the request's own turn of the event loop, as its documents show it."""

# Axes: T tokens, C categories.

import sys
from pathlib import Path

import msgspec
import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from torch import nn

from artifacts.store.store import Store
from benchmarks.peers.weights import EMBEDDING, HIDDEN, Weights, encode, make_weights


class EmailClassifierGRU(nn.Module):
    """The seed's network, in both directions."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        num_words, num_categories = len(weights.embedding_VE), len(weights.head_bias_C)
        self.embedding = nn.Embedding(num_words, EMBEDDING, padding_idx=0)
        self.gru = nn.GRU(EMBEDDING, HIDDEN, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(2 * HIDDEN, num_categories)
        self.softmax = nn.Softmax(dim=1)
        state = {
            "embedding.weight": weights.embedding_VE,
            "fc.weight": weights.head_CF,
            "fc.bias": weights.head_bias_C,
        }
        for direction, suffix in enumerate(("", "_reverse")):
            state[f"gru.weight_ih_l0{suffix}"] = weights.input_DGE[direction]
            state[f"gru.weight_hh_l0{suffix}"] = weights.recurrent_DGH[direction]
            state[f"gru.bias_ih_l0{suffix}"] = weights.input_bias_DG[direction]
            state[f"gru.bias_hh_l0{suffix}"] = weights.recurrent_bias_DG[direction]
        self.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in state.items()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the probabilities [1, C] of one ticket [1, T]."""
        _, hidden = self.gru(self.embedding(x))
        found: torch.Tensor = self.softmax(self.fc(torch.cat((hidden[0], hidden[1]), dim=1)))
        return found


class Search(BaseModel):
    """The body of a search."""

    name: str
    neural_network_type: str
    vector: list[str]


async def readyz() -> dict[str, bool]:
    """Say that it is ready."""
    return {"ready": True}


def create_app(store: str, name: str) -> FastAPI:
    """Return the application over the vocabulary and labels of a version."""
    torch.set_num_threads(1)
    opened = Store(Path(store))
    _, files = opened.read_version(name, opened.current(name).version)
    vocabulary = msgspec.json.decode(files["vocab.json"], type=dict[str, int])
    labels = msgspec.json.decode(files["labels.json"], type=list[str])
    model = EmailClassifierGRU(make_weights(len(vocabulary), len(labels)))
    app = FastAPI()

    async def search(data: Search) -> dict[str, str | float]:
        model.eval()
        with torch.no_grad():
            output = model(torch.tensor([encode(vocabulary, data.vector)]))
            predicted = int(torch.argmax(output, dim=1).item())
            return {"category": labels[predicted], "confidence": torch.max(output).item()}

    app.post("/search")(search)
    app.get("/readyz")(readyz)
    return app


def main() -> None:
    """Serve on a port of loopback."""
    store, name, port = sys.argv[1:]
    uvicorn.run(create_app(store, name), port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
