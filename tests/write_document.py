"""Write docs/openapi.json, the OpenAPI document of a release, without what only people read: `make document`."""

import json
from pathlib import Path

from tests.inference.breaking import without_words
from tests.inference.contract import document

if __name__ == "__main__":
    path = Path(__file__).parents[1] / "docs/openapi.json"
    path.write_text(json.dumps(without_words(document()), ensure_ascii=False, indent=1) + "\n", "utf-8")
