"""Chinese names of what the tables of the tutorials' pages speak of."""

CHINESE = {
    "softmax before cross entropy": "交叉熵之前多了一个 softmax",
    "test part flipped at random": "测试图片也随机翻转",
    "scored in training mode (no eval())": "打分时没有调用 eval()",
    "first convolution of a block without padding, pools padded by one": "每块第一个卷积不填充，池化却填充 1",
    "network run twice for every scored batch": "评估时每个 batch 跑两遍网络",
    "lines bound to an old library or to Windows": "只适用于旧版库或 Windows 的代码",
    "best epoch chosen on the test set": "用测试集挑最佳 epoch",
    "split drawn without a seed": "划分没有种子",
    "mean of batch means instead of the mean over pictures": "对各 batch 的均值再求平均",
    "Dropout of the frozen classifier in training mode": "冻结的分类器里 Dropout 处于训练模式",
    "learning rate lowered by the test loss": "按测试损失降低学习率",
    "frozen BatchNorm in training mode": "冻结的 BatchNorm 处于训练模式",
    "frozen features depend on the other pictures of the batch": "冻结的特征受同一 batch 里其他图片影响",
    "frozen parameters handed to the optimizer: cost": "冻结的参数交给优化器：开销",
    "frozen parameters handed to the optimizer: what moves": "冻结的参数交给优化器：哪些会变",
    "three blocks counted as 17 parameters": "把三个块数成 17 个参数",
    "nats a picture, and accuracy, on the test pictures after the same steps": "同样步数后，测试图片的平均损失和准确率",
    "points of test accuracy away from the pictures as they are, over draws": "与原图相比的测试准确率差（百分点）",
    "test accuracy of the same network": "同一网络的测试准确率",
    "side of the map: input, then after each block's pool": "特征图边长：输入，及每块池化之后",
    "seconds of scoring a picture, median": "每张图片的评估秒数（中位数）",
    "outcome": "结果",
    "test accuracy reported": "报告的测试准确率",
    "test accuracy": "测试准确率",
    "test accuracy, range over runs": "测试准确率，各次运行的范围",
    "test loss, nats": "测试损失",
    "training accuracy of the same head, dropout on and off": "同一分类头的训练准确率，开或关 Dropout",
    "test accuracy after the last epoch": "最后一个 epoch 的测试准确率",
    "accuracy on the evaluated part": "评估部分的准确率",
    "norm of the difference of two features of one picture over their norm": "同一图片两次特征之差与特征的范数比",
    "median of a step and a zero_grad; state after it": "一步更新加清零的中位时间；之后的优化器状态",
    "frozen tensors that moved in 10 steps": "10 步内改变的冻结张量数",
    "tensors and parameters": "张量与参数个数",
    "several depths (linear head)": "多深度（只用线性头）",
    "the thaw (head only)": "解冻（只训练分类头）",
    "label smoothing": "标签平滑",
    "mixup": "mixup",
    "averaged weights": "权重平均",
    "rates that fall with depth": "逐层递减的学习率",
    "the mirrored test view": "测试时的镜像视图",
    "the other test views": "其余的测试视图",
    "any regularisation": "全部正则化",
    "stored crops (as is and mirrored)": "存储的裁剪视图（只用原图和镜像）",
    "gradient epochs after the fit (one)": "拟合之后的梯度训练（只一个 epoch）",
    "shifts": "随机平移",
    "cutout": "随机遮挡（cutout）",
    "mirrored views": "镜像视图",
    "a frozen stem (trained on from where it starts)": "冻结的首层（从同样的起点继续训练）",
    "a random head (fitted)": "随机的分类头（改为拟合）",
    "shifts and cutout": "随机平移和 cutout",
    "one size throughout (two epochs at 48 pixels, then one)": "始终同一尺寸（改为两个 epoch 用 48 像素，再一个）",
    "5 of 35 thawed epochs": "解冻后只跑了 35 个 epoch 中的 5 个",
    "2 of 10 epochs": "只跑了 10 个 epoch 中的 2 个",
    "1 of 10 epochs, on 2,000 training and 500 test pictures: that it runs, and how fast": (
        "只跑了 10 个 epoch 中的 1 个，用 2,000 张训练图片和 500 张测试图片：只看能否运行、速度如何"
    ),
    "without mirrored views": "不用镜像视图",
    "64 pixels, 5 of 40 epochs": "64 像素，只跑了 40 个 epoch 中的 5 个",
    "4 of 40 epochs with momentum, from a fitted linear head": (
        "只跑了 40 个 epoch 中的 4 个，带动量，从拟合好的线性头开始"
    ),
    "time of 1 of 3 runs, the others ran beside other work": (
        "用时取 3 次运行中的 1 次，其余两次运行时机器上还有别的任务"
    ),
    "with the extra openvino (the pass by torch alone: 34 s, measured once, no result file); "
    "chosen and reported on the same 153 pictures": (
        "装有附加组件 openvino（只用 torch 计算：34 秒，只测过一次，没有结果文件）；"
        "epoch 在这 153 张图片上挑选，准确率也在这 153 张上报告"
    ),
}
