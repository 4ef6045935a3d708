#!/usr/bin/env bash
# All measurements of docs/tutorials/, one after another; on two cores about six hours. Nothing else may run meanwhile.
#
#   HYMENOPTERA=D SIGN_DIGITS=D CIFAR=D FASHION=D VGG16=W RESNET18=W benchmarks/measure_tutorials.sh [STEP...]
#
# CIFAR is a folder of JPEGs with train/ and test/, a folder per class in each, FASHION the folder of the four IDX files,
# VGG16 and RESNET18 weights as safetensors. Long runs are kept under RUNS (default: runs/tutorials) and go on where they were interrupted. Steps:
# faces ants_bees clothes cifar staged mistakes ablations tables.
set -eu
cd "$(dirname "$0")/.."
RUNS=${RUNS:-runs/tutorials}
recipes="python benchmarks/tutorial_recipes.py"
ablation="python benchmarks/ablation.py"

# A run that is kept: NAME, then what stands behind `frostline train`.
kept() {
  local out=$RUNS/$1
  shift
  if [ -d "$out" ]; then set -- "$@" --resume; fi
  frostline train "$@" --out "$out"
}

# The first TRAIN and TEST pictures of each class, copied to RUNS/small-cifar.
small_cifar() {
  local part number class
  for part in train test; do
    if [ $part = train ]; then number=$1; else number=$2; fi
    for class in "$CIFAR/$part"/*/; do
      mkdir -p "$RUNS/small-cifar/$part/$(basename "$class")"
      find "$(realpath "$class")" -type f | sort | head -n "$number" | xargs -I{} cp {} "$RUNS/small-cifar/$part/$(basename "$class")/"
    done
  done
}

faces() {
  $recipes faces-vgg16-frozen "$SIGN_DIGITS" --seeds 3 --loop faces-vgg16-frozen --loop-weights "$VGG16" --steps 2 -- --weights "$VGG16" --head linear
  $recipes faces-vgg16-frozen "$SIGN_DIGITS" --name faces-vgg16-frozen-one-view --loop faces-vgg16-frozen --loop-weights "$VGG16" --steps 2 --seeds 3 --note "without mirrored views" -- --weights "$VGG16" --head linear --augment none
  $recipes faces-vgg16-thawed "$SIGN_DIGITS" --seeds 3 --loop faces-vgg16-thawed --loop-weights "$VGG16" --steps 2 --note "4 of 40 epochs with momentum, from a fitted linear head" -- --weights "$VGG16" --head linear --lr 1e-4 --momentum 0.9 --stages block4:4
  $recipes faces-vgg16-scratch "$SIGN_DIGITS" --seeds 3 --note "64 pixels, 5 of 40 epochs" -- --image-size 64 --stages all:5
  $recipes faces-best "$SIGN_DIGITS" --seeds 3 --loop faces-vgg16-thawed --loop-weights "$VGG16" --steps 1
}

ants_bees() {
  $recipes hymenoptera-resnet18-finetune "$HYMENOPTERA" --seeds 3 --loop hymenoptera-resnet18-finetune --loop-weights "$RESNET18" --steps 5 -- --weights "$RESNET18"
  $recipes hymenoptera-resnet18-frozen "$HYMENOPTERA" --seeds 3 --loop hymenoptera-resnet18-frozen --loop-weights "$RESNET18" --steps 5 -- --weights "$RESNET18"
  $recipes hymenoptera-best "$HYMENOPTERA" --seeds 5 --loop hymenoptera-resnet18-finetune --loop-weights "$RESNET18" --steps 5 --note "with the extra openvino (the pass by torch alone: 34 s, measured once, no result file); chosen and reported on the same 153 pictures"
}

clothes() {
  for seed in 0 1 2; do kept fashion-best-$seed "fashion-mnist:$FASHION" --recipe fashion-best --seed $seed; done
  $recipes fashion-best fashion-mnist --from "$RUNS"/fashion-best-{0,1,2} --loop fashion-vgg11 --loop-data "$FASHION" --steps 3
  kept fashion-vgg11 "fashion-mnist:$FASHION" --recipe fashion-vgg11
  $recipes fashion-vgg11 fashion-mnist --from "$RUNS/fashion-vgg11" --loop fashion-vgg11 --loop-data "$FASHION" --steps 3
}

cifar() {
  kept cifar10-best "$CIFAR" --recipe cifar10-best
  $recipes cifar10-best "$CIFAR" --what cifar10 --from "$RUNS/cifar10-best" --loop cifar10-vgg16-bn --steps 200
  kept cifar10-vgg16-bn "$CIFAR" --recipe cifar10-vgg16-bn --epochs 2
  $recipes cifar10-vgg16-bn "$CIFAR" --what cifar10 --from "$RUNS/cifar10-vgg16-bn" --loop cifar10-vgg16-bn --steps 200 --note "2 of 10 epochs" -- --epochs 2
  small_cifar 200 50
  $recipes cifar10-vgg16 "$RUNS/small-cifar" --what "cifar10, 2,000 of its pictures" --loop cifar10-vgg16 --steps 20 --note "1 of 10 epochs, on 2,000 training and 500 test pictures: that it runs, and how fast" -- --epochs 1
}

staged() {
  kept staged "$CIFAR" --recipe cifar10-resnet18-staged --weights "$RESNET18" --stages "head:5@1e-3, all:5@1e-4" --cache-dir "$RUNS/store-staged"
  kept frozen "$CIFAR" --recipe cifar10-resnet18-staged --weights "$RESNET18" --stages "head:60@1e-3" --cache-dir "$RUNS/store-frozen"
  kept scratch "$CIFAR" --recipe cifar10-resnet18-staged --weights none --stages "all:5@1e-3"
  kept best "$CIFAR" --recipe cifar10-resnet18-best --weights "$RESNET18"
  python benchmarks/staged_curves.py docs/tutorials/staged.png "frozen only=$RUNS/frozen" "staged=$RUNS/staged" "from scratch=$RUNS/scratch" "cifar10-resnet18-best=$RUNS/best"
  $recipes cifar10-resnet18-staged "$CIFAR" --what cifar10 --from "$RUNS/staged" --loop cifar10-resnet18-staged --loop-weights "$RESNET18" --steps 5 --note "5 of 35 thawed epochs" -- --weights "$RESNET18" --stages "head:5@1e-3, all:5@1e-4"
  $recipes cifar10-resnet18-best "$CIFAR" --what cifar10 --from "$RUNS/best" --loop cifar10-resnet18-staged --loop-weights "$RESNET18" --steps 5 -- --weights "$RESNET18"
}

mistakes() {
  python benchmarks/tutorial_mistakes.py --sign-digits "$SIGN_DIGITS" --hymenoptera "$HYMENOPTERA" --cifar "$CIFAR" --vgg16 "$VGG16" --resnet18 "$RESNET18"
}

ablations() {
  $ablation hymenoptera-best "$HYMENOPTERA" --what hymenoptera --seeds 5
  $ablation faces-best "$SIGN_DIGITS" --seeds 2 --score test --gap --only "the thaw (head only)" "any regularisation" --what sign-digits --note "4 of 6 thawed epochs, 30% held out as test" -- --stages "head:2, blocks.3:4@1e-3" --test 0.3
  $ablation fashion-best "fashion-mnist:$FASHION" --what fashion-mnist --seeds 1 --score test --epochs 4 --note "4 of 9 epochs, half the width" -- --width 0.5
  $ablation cifar10-best "$CIFAR" --what cifar10 --seeds 1 --score test --epochs 4 --note "4 of 40 epochs, width 0.5 instead of 1.25" -- --width 0.5
  $ablation cifar10-resnet18-best "$CIFAR" --what cifar10 --seeds 1 --score test --note "2 of 8 epochs" -- --weights "$RESNET18" --stages all:2@1e-3
}

tables() {
  python benchmarks/fill_recipes.py
  python benchmarks/fill_pages.py
  python benchmarks/tutorial_recipes.py --table
}

for step in "${@:-}"; do
  if [ -n "$step" ]; then "$step"; else faces; ants_bees; clothes; cifar; staged; mistakes; ablations; tables; fi
done
