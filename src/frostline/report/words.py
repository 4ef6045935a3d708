"""What the report says, in English and Chinese. Numbers are put in by name."""

import locale
import os
import unicodedata
from collections.abc import Mapping
from typing import Any

LANGUAGES = ("en", "zh")

WORDS: dict[str, tuple[str, str]] = {
    "title": ("{name}: training report", "{name}：训练报告"),
    "headline": (
        "Names {accuracy:.1%} of the pictures correctly that it had never seen",
        "在从未见过的图片中，{accuracy:.1%} 判断正确",
    ),
    "headline_val": (
        "Names {accuracy:.1%} of the validation pictures correctly",
        "在验证图片中，{accuracy:.1%} 判断正确",
    ),
    "interval": (
        "With {count} pictures to measure on, the true share lies between {low:.1%} and {high:.1%} (95% interval).",
        "测量用了 {count} 张图片，真实比例在 {low:.1%} 与 {high:.1%} 之间（95% 区间）。",
    ),
    "val_is_optimistic": (
        "There is no test split: the best epoch was chosen on these very pictures, so the number is a little too good.",
        "没有测试集：最佳 epoch 正是在这些图片上选出的，所以数字略偏高。",
    ),
    "read_once": (
        "The test pictures were read once, after training ({time}).",
        "测试图片只在训练结束后读过一次（{time}）。",
    ),
    "read_often": (
        "The test pictures have been looked at {count} times. What was chosen by them needs a new test set.",
        "测试图片已经看过 {count} 次。如果据此做过选择，就需要新的测试集。",
    ),
    "folds": (
        "Trained {trainings} times (folds: {folds}, seeds: {seeds}): {mean:.1%} on average, {low:.1%} to {high:.1%}.",
        "重复训练 {trainings} 次（{folds} 折，{seeds} 个种子）：平均 {mean:.1%}，从 {low:.1%} 到 {high:.1%}。",
    ),
    "confuses": (
        "Most often takes {true} for {predicted}: {count} of {of} pictures ({share:.0%}).",
        "最常把 {true} 认成 {predicted}：{of} 张中有 {count} 张（{share:.0%}）。",
    ),
    "confuses_nothing": ("It confused no two classes on these pictures.", "在这些图片上没有混淆任何两个类别。"),
    "verdict": ("What to make of it", "如何看待"),
    "fits": (
        "It fits: {train:.1%} of the training pictures, {val:.1%} of the validation pictures.",
        "拟合良好：训练图片 {train:.1%}，验证图片 {val:.1%}。",
    ),
    "overfits": (
        "It has learnt some by heart: {train:.1%} of the training pictures, {val:.1%} of new ones. Try more pictures, "
        "--augment flip or crops:8, --label-smoothing 0.1, or thaw less.",
        "它记住了训练图片（{train:.1%}），对新图片差一些（{val:.1%}）。可以试试：更多图片，--augment flip 或 crops:8，"
        "--label-smoothing 0.1，或少解冻几层。",
    ),
    "underfits": (
        "It does not even know its training pictures ({train:.1%}; validation {val:.1%}). Thaw more layers, use less "
        "augmentation, a higher rate, or a larger network.",
        "连训练图片也没学好（{train:.1%}；验证 {val:.1%}）。可以多解冻几层、减少增强、提高学习率，或换更大的网络。",
    ),
    "still_learning": (
        "It was still getting better at the end ({train:.1%} training, {val:.1%} validation): give it more epochs.",
        "训练结束时仍在进步（训练 {train:.1%}，验证 {val:.1%}）：可以增加 epoch。",
    ),
    "labels": (
        "{issues} of {count} labels are in doubt: look at them below before anything else.",
        "{count} 个标签中有 {issues} 个可疑：请先看下面的列表。",
    ),
    "more_helps": (
        "More pictures would help: the last doubling gained {points:.1f} points.",
        "更多图片会有帮助：最近一次翻倍提高了 {points:.1f} 个百分点。",
    ),
    "more_is_unclear": (
        "Whether more pictures would help cannot be told: the last doubling gave {points:.1f} points, measured on "
        "{measured} validation pictures.",
        "无法判断更多图片是否有帮助：最近一次翻倍提高了 {points:.1f} 个百分点，但只有 {measured} 张验证图片。",
    ),
    "more_is_little": (
        "More pictures of the same kind would gain little: the last doubling gave {points:.1f} points.",
        "更多同类图片帮助不大：最近一次翻倍只提高了 {points:.1f} 个百分点。",
    ),
    "few_to_measure": (
        "Too few pictures to measure on: anything from {low:.0%} to {high:.0%} is possible. Keep more for testing, or "
        "use --folds 5.",
        "用于测量的图片太少：从 {low:.0%} 到 {high:.0%} 都有可能。请多留一些做测试，或使用 --folds 5。",
    ),
    "curves": ("How it learnt", "学习过程"),
    "epoch": ("epoch", "epoch"),
    "accuracy": ("accuracy", "准确率"),
    "loss": ("loss", "损失"),
    "training": ("training", "训练"),
    "validation": ("validation", "验证"),
    "test": ("test", "测试"),
    "stage": ("stage {number}", "阶段 {number}"),
    "best_epoch": ("The weights kept are those of epoch {epoch}.", "保留的是第 {epoch} 个 epoch 的权重。"),
    "confusion": ("Confusions", "混淆"),
    "confusion_says": (
        "Rows are what a picture is, columns what the model said; {split} pictures.",
        "行是真实类别，列是模型的判断；{split}图片。",
    ),
    "confusion_many": (
        "With {classes} classes the matrix would not fit; these are the pairs confused most.",
        "有 {classes} 个类别，矩阵放不下；下面是最常混淆的组合。",
    ),
    "true": ("true", "真实"),
    "predicted": ("predicted", "判断"),
    "pictures": ("pictures", "图片数"),
    "share": ("share", "比例"),
    "classes": ("Each class", "各个类别"),
    "small_type": ("In small type: 95% intervals, in percent.", "小字是 95% 区间（百分数）。"),
    "sort": ("Click a heading to sort.", "点击表头可排序。"),
    "class": ("class", "类别"),
    "precision": ("precision", "精确率"),
    "recall": ("recall", "召回率"),
    "f1": ("F1", "F1"),
    "auroc": ("AUROC", "AUROC"),
    "mistakes": ("Worst mistakes", "最严重的错误"),
    "mistakes_say": (
        "The mistakes that it was surest of, on {split} pictures. The glow shows what spoke for its answer (Grad-CAM).",
        "{split}图片中它最有把握的错误。亮处是支持其判断的地方（Grad-CAM）。",
    ),
    "no_mistakes": ("It made none.", "没有错误。"),
    "right_ones": ("For comparison, some that it has right", "作为对照，几张判断正确的"),
    "is_and_said": (
        "is {true}, said {predicted} ({confidence:.0%})",
        "真实：{true}；判断：{predicted}（{confidence:.0%}）",
    ),
    "issues": ("Labels in doubt", "可疑的标签"),
    "issues_say": (
        "Pictures that models trained on the others ({folds} folds) surely take for another class, surest first. Look "
        "at each; not every one is wrong.",
        "只用其他图片训练的模型（{folds} 折）明显认为属于另一类的图片，最可疑的在前。请逐一查看，并非每个都错。",
    ),
    "no_issues": ("None was found.", "没有发现。"),
    "not_examined": (
        "The labels were not examined (too few pictures, or too much work).",
        "没有检查标签（图片太少，或计算量太大）。",
    ),
    "given_and_suggested": ("given {given}, looks like {suggested}", "标为 {given}，像是 {suggested}"),
    "calibration": ("Can its confidence be believed?", "它的把握可信吗？"),
    "calibration_says": (
        "When it is 80% sure it should be right 80% of the time. On average it is off by {after:.1%} (before it was "
        "corrected, {before:.1%}; temperature {temperature:.2f}).",
        "当它有 80% 的把握时，应有 80% 判断正确。平均偏差为 {after:.1%}"
        "（校正前 {before:.1%}；温度 {temperature:.2f}）。",
    ),
    "calibration_chance": (
        "On {count} pictures, {chance:.1%} would be seen by chance even if every confidence were exactly true.",
        "即使每个把握都完全准确，在 {count} 张图片上，偶然也会看到 {chance:.1%} 的偏差。",
    ),
    "confidence": ("confidence", "把握"),
    "perfect": ("as it should be", "理想"),
    "observed": ("as it is", "实际"),
    "before_temperature": ("before the temperature", "校准前"),
    "learning": ("Would more pictures help?", "更多图片有用吗？"),
    "learning_says": (
        "Validation accuracy of a simple head on frozen layers, with a part of the training pictures.",
        "只用一部分训练图片时，冻结层上简单分类头的验证准确率。",
    ),
    "trained_layers": (
        "The layers beneath began without pretrained weights and learnt from all of these pictures and labels, so this "
        "looks better than it is, and wrong labels that were learnt by heart are not found.",
        "底层没有预训练权重，是用这些图片和标签训练出来的，因此结果偏乐观，已被记住的错误标签也无法发现。",
    ),
    "training_pictures": ("training pictures", "训练图片数"),
    "data": ("The pictures", "数据"),
    "split": ("split", "划分"),
    "skipped_says": ("{count} files were left out:", "有 {count} 个文件未使用："),
    "file": ("file", "文件"),
    "outcome": ("outcome", "处理"),
    "reason": ("reason", "原因"),
    "audit_leaks": (
        "{count} pictures are in more than one split (the same pixels), so the accuracy looks better than it is: "
        "{names}.",
        "有 {count} 张图片同时出现在多个集合中（像素相同），准确率因此偏高：{names}。",
    ),
    "audit_conflicts": (
        "{count} pictures have more than one label (the same pixels): {names}.",
        "有 {count} 张图片带有多个标签（像素相同）：{names}。",
    ),
    "audit_uneven": (
        "{most} has {many} training pictures, {least} {few}: see balanced accuracy.",
        "{most} 有 {many} 张训练图片，{least} 只有 {few} 张：请看平衡准确率。",
    ),
    "audit_lacking": ("The {split} pictures have none of {names}.", "{split}集中没有 {names} 的图片。"),
    "audit_sound": (
        "No picture is in two splits or under two labels, pixel for pixel.",
        "没有像素完全相同的图片跨集合或带有不同标签。",
    ),
    "audit_closer": (
        "frostline inspect DATA looks for near copies and blank pictures as well.",
        "frostline inspect DATA 还会查找近似重复和空白图片。",
    ),
    "nothing_skipped": ("Every picture was used.", "所有图片都已使用。"),
    "plan": ("The plan, and what it cost", "训练计划与实际花费"),
    "part": ("trains from", "起始层"),
    "epochs": ("epochs", "epoch 数"),
    "rate": ("rate", "学习率"),
    "frost_line": ("frost line", "冻结线"),
    "priced": ("priced", "预计"),
    "took": ("took", "实际"),
    "seconds": ("{value:.1f} s", "{value:.1f} 秒"),
    "total_seconds": ("{value:.0f} s in all.", "共 {value:.0f} 秒。"),
    "reproduce": ("How to do it again", "如何重现"),
    "settings": ("All settings", "全部设置"),
    "versions": ("Versions", "版本"),
    "theme": ("light / dark", "浅色 / 深色"),
    "made_by": ("Made by frostline {version}.", "由 frostline {version} 生成。"),
    "training_now": ("Training: epoch {epoch} of {epochs}", "训练中：第 {epoch} / {epochs} 个 epoch"),
    "preparing": ("Training is about to begin", "即将开始训练"),
    "best_so_far": (
        "Best validation accuracy so far: {accuracy:.1%}, epoch {epoch}.",
        "目前最高验证准确率：{accuracy:.1%}，第 {epoch} 个 epoch。",
    ),
    "cannot_show": (
        "The pictures are not where they were, so none is shown.",
        "原图片已不在原处，因此无法显示。",
    ),
}


def isolated(text: str) -> str:
    """Keep text that runs from right to left from turning round what stands beside it (Unicode's isolates)."""
    is_mixed = any(unicodedata.bidirectional(letter) in {"R", "AL"} for letter in text)
    return f"\u2068{text}\u2069" if is_mixed else text


class Words:
    """The words of one language: `words("title", name="x")`."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._place = LANGUAGES.index(language)
        self.space = "" if language == "zh" else " "
        """What stands between two sentences."""

    def __call__(self, key: str, /, **values: Any) -> str:
        """Give a text with its values."""
        told = {name: isolated(value) if isinstance(value, str) else value for name, value in values.items()}
        return WORDS[key][self._place].format(**told)

    def verdict(self, one: Mapping[str, Any]) -> str:
        """Give the sentence of one verdict."""
        return self(one["code"], **{**one, "points": 100 * one.get("gain", 0.0)})


def choose_language(wanted: str) -> str:
    """Settle `auto`: Chinese where the system's language is Chinese, else English."""
    if wanted != "auto":
        return wanted
    named = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), None)
    return "zh" if (named or locale.getlocale()[0] or "").lower().startswith(("zh", "chinese")) else "en"
