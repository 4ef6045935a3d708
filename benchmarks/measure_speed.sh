#!/usr/bin/env bash
# All measurements of docs/performance.md's tables, one after another; on two cores about two hours, and an hour and a half
# more for the peers. Nothing else may run meanwhile.
#
#   HYMENOPTERA=D SIGN_DIGITS=D CIFAR=D VGG16=W RESNET18=W [PEERS=ENVIRONMENT LITE0=W] benchmarks/measure_speed.sh [STEP...]
#
# CIFAR is a folder of JPEGs with train/ and test/, a folder per class in each; VGG16, RESNET18 and LITE0 are weights as
# safetensors; PEERS is what peers/install.sh made. Steps: commands cached pass heads predict scaling scratch peers table.
set -eu
cd "$(dirname "$0")/.."

commands() { python benchmarks/whole_commands.py "$HYMENOPTERA" --rounds 5; }
cached() { python benchmarks/cached_stage.py "$HYMENOPTERA" --vgg16 "$VGG16" --resnet18 "$RESNET18" --rounds 5; }
pass() { python benchmarks/the_pass.py --rounds 5; }
heads() {
  python benchmarks/frozen_head.py "$HYMENOPTERA" "$RESNET18" --model resnet18 --rounds 5
  python benchmarks/frozen_head.py "$HYMENOPTERA" "$VGG16" --model vgg16 --rounds 5
}
predict() { python benchmarks/predict_folder.py "$SIGN_DIGITS" --rounds 5; }
scaling() { python benchmarks/scaling.py "$CIFAR" docs/scaling.png; }
scratch() {
  python benchmarks/from_scratch.py "$CIFAR" --rounds 5 --model smallnet
  python benchmarks/from_scratch.py "$CIFAR" --rounds 5
}
peers() {
  [ -n "${PEERS:-}" ] || return 0
  python benchmarks/peers.py speed "$HYMENOPTERA" --python "$PEERS/bin/python" --resnet18 "$RESNET18" --rounds 5
  for data in "$HYMENOPTERA" "$SIGN_DIGITS"; do
    python benchmarks/peers.py budget "$data" --python "$PEERS/bin/python" --lite0 "$LITE0" --rounds 1
  done
}
table() { python benchmarks/speed_table.py; }

for step in ${*:-commands cached pass heads predict scaling scratch peers table}; do
  "$step"
done
