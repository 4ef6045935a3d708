"""The words of the speed table in Chinese; figures stay as they are."""

import re

HEAD = {
    "what": "内容",
    "measured": "实测",
    "beside it": "对照",
    "accuracy": "准确率",
    "script and result": "脚本与结果",
    "processor": "处理器",
}
PHRASES = (
    (r" \(family (\d+), model (\d+)\)", r"（系列 \1，型号 \2）"),
    (r"^`([^`]+)` of (\w+), cached$", r"\2 的 `\1`，读取特征"),
    (r"^seconds that `([^`]+)` of (\w+) took over its price$", r"\2 的 `\1` 实际秒数与报价之比"),
    (r"^the pass, (\w+) at (\d+) pixels$", r"计算特征，\1，\2 像素"),
    (r"^VGG-16 with BatchNorm, at 32 pixels, from scratch$", "带 BatchNorm 的 VGG-16，32 像素，从头训练"),
    (r"^SmallNet, 1.25 times as wide, at 32 pixels, from scratch$", "SmallNet，宽 1.25 倍，32 像素，从头训练"),
    (r"^ResNet-18 at 224 pixels, every layer trains", "ResNet-18，224 像素，训练全部层"),
    (r"^1,000 pictures predicted from a folder, over the pass$", "对文件夹里的 1,000 张图片做预测，与计算特征之比"),
    (
        r"^([\d,]+) pictures at (\d+) pixels, head, store on disk: largest process$",
        r"\1 张 \2 像素的图片，分类头，特征存盘：最大的进程",
    ),
    (r"^second run, another head \(`mlp`\), whole process$", "再次运行，换一个分类头（`mlp`），整个进程"),
    (r"^`frostline predict` of one picture, whole process$", "`frostline predict` 一张图片，整个进程"),
    (r"ants and bees, ", "蚂蚁与蜜蜂，"),
    (r"hand signs, ", "手势数字，"),
    (r", one view", "，一个视图"),
    (r", two views, 3 seeds", "，两个视图，3 个种子"),
    (r", whole process", "，整个进程"),
    (r" of a 2048 product's operations, ", " 倍于 2048 矩阵乘法的运算速度，用时为理论下限的 "),
    (r" times its limit's time", " 倍"),
    (r"times faster than: plain ([\d.]+)", r"快多少倍：朴素循环 \1"),
    (r"\*\*(\d+) times\*\* faster", r"**\1 倍**"),
    (r"([\d.]+) times\*\*", r"\1 倍**"),
    (r", plain ", "，朴素循环 "),
    (r"the tutorial's loop", "教程的循环"),
    (r"plain loop", "朴素循环"),
    (r"; the arithmetic allows", "；按运算量最多"),
    (r"; the whole process", "；整个进程"),
    (r"; product", "；矩阵乘法"),
    (r"eager torch", "逐层执行的 torch"),
    (r"pictures/s in the pass", "张/秒（计算特征时）"),
    (r"pictures/s", "张/秒"),
    (r"computed ", "全部重算 "),
    (r"cached ", "读取特征 "),
    (r"first run", "第一次运行"),
    (r"^took ", "用时 "),
    (r"^pass ", "计算特征 "),
    (r"validation ", "验证 "),
    (r"test ", "测试 "),
    (r", both$", "，两者相同"),
    (r"(?<=\d) s\b", " 秒"),
)


def in_chinese(cell: str) -> str:
    """Put a cell of the table into Chinese."""
    cell = HEAD.get(cell, cell)
    if cell.startswith("["):  # links to scripts and results
        return cell
    for english, chinese in PHRASES:
        cell = re.sub(english, chinese, cell)
    return cell.replace(", ", "，").replace(": ", "：")
