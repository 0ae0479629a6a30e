"""Ask Puppet for the category of a ticket: python search.py "Je n'arrive plus à me connecter". No package needed."""

import json
import os
import sys
import urllib.error
import urllib.request

address = os.environ.get("PUPPET_URL", "http://127.0.0.1:8000")
headers = {"Content-Type": "application/json", "X-Timeout-Ms": "2000"}
if "PUPPET_TOKEN" in os.environ:
    headers["Authorization"] = "Bearer " + os.environ["PUPPET_TOKEN"]
ticket = {"name": "puppet-o2", "neural_network_type": "GRU", "text": sys.argv[1], "top_k": 3}

try:
    with urllib.request.urlopen(
        urllib.request.Request(address + "/search", json.dumps(ticket).encode(), headers)
    ) as said:
        answer = json.load(said)
except urllib.error.HTTPError as error:  # an answer too: `type` is for programs, `detail` for people
    sys.exit(json.load(error)["detail"])
print(answer["category"], round(answer["confidence"], 3))
