#!/usr/bin/env bash
# An environment of its own for the server that frostline's is measured against:
#
#   benchmarks/peers/install_server.sh FOLDER
#
# benchmarks/serve.py is then given FOLDER/bin/python.
set -eu
python3 -m venv "$1"
"$1/bin/pip" install --quiet "torch>=2.10,<2.15" torchvision pillow litserve python-multipart
"$1/bin/pip" list 2>/dev/null | grep -iE "^(torch|torchvision|litserve|fastapi|uvicorn) "
