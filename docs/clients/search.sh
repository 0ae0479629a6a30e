#!/bin/sh
# Ask Puppet for the category of a ticket: sh search.sh "Je n'arrive plus à me connecter". Needs curl.

address=${PUPPET_URL:-http://127.0.0.1:8000}
# A quote or a backslash of the text is escaped; `jq -n --arg text "$1"` writes any text as JSON.
text=$(printf %s "$1" | sed 's/[\\"]/\\&/g')
curl --silent --show-error --fail-with-body "$address/search" \
    --header 'Content-Type: application/json' --header 'X-Timeout-Ms: 2000' \
    ${PUPPET_TOKEN:+--header "Authorization: Bearer $PUPPET_TOKEN"} \
    --data "{\"name\":\"puppet-o2\",\"neural_network_type\":\"GRU\",\"text\":\"$text\",\"top_k\":3}"
