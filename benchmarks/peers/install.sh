#!/usr/bin/env bash
# An environment of their own for the libraries that frostline is measured against:
#
#   benchmarks/peers/install.sh FOLDER
#
# benchmarks/peers.py is then given FOLDER/bin/python.
set -eu
python3 -m venv "$1"
"$1/bin/pip" install --quiet "torch>=2.10,<2.15" torchvision timm safetensors fastai lightning ultralytics
"$1/bin/pip" list 2>/dev/null | grep -iE "^(torch|torchvision|timm|fastai|lightning|ultralytics) "
