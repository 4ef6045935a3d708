// What the page says, in English and Chinese. Values are put in by name.

export const LANGUAGES = ["en", "zh"];

export const WORDS = {
  title: ["What is in the picture?", "图片里是什么？"],
  classes: ["This model tells {count} classes apart: {names}.", "该模型可区分 {count} 个类别：{names}。"],
  classes_more: ["{names} and {more} more", "{names} 等（另有 {more} 个）"],
  theme: ["Light / dark", "浅色 / 深色"],
  drop: ["Drop pictures here, or paste them", "将图片拖到这里，或直接粘贴"],
  drop_touch: ["Choose pictures, or take one now", "选择图片，或立即拍照"],
  choose: ["Choose pictures", "选择图片"],
  photograph: ["Take a photograph", "拍照"],
  taken: ["JPEG, PNG, WebP, BMP, TIFF or GIF, up to {size} each", "支持 JPEG、PNG、WebP、BMP、TIFF、GIF，每张不超过 {size}"],
  results: ["Answers", "结果"],
  summary: ["{count} pictures: {sure} answered, {unsure} unsure, {faults} not read", "共 {count} 张：{sure} 张已识别，{unsure} 张不确定，{faults} 张无法读取"],
  summary_one: ["One picture: {text}", "一张图片：{text}"],
  working: ["{done} of {count} done", "已完成 {done} / {count}"],
  heat: ["Show where it looked", "显示关注区域"],
  download: ["Download CSV", "下载 CSV"],
  clear: ["Clear", "清空"],
  waiting: ["Working…", "识别中…"],
  unsure: ["Unsure", "不确定"],
  unsure_says: ["Unsure, perhaps {name}", "不确定，可能是 {name}"],
  not_read: ["Could not be read", "无法读取"],
  photo_of: ["Picture {name}", "图片 {name}"],
  heat_of: ["Bright where the picture spoke for {name}", "亮处表示支持“{name}”的区域"],
  no_heat: ["There is no heat map of this answer.", "此结果没有关注区域图。"],
  likely: ["Classes by confidence", "按置信度排列的类别"],
  pasted: ["pasted picture", "粘贴的图片"],
  correct: ["Right class", "正确类别"],
  save: ["Save", "保存"],
  saved: ["Saved for the next training.", "已保存，可用于下次训练。"],
  about: ["About this model", "关于该模型"],
  network: ["Network", "网络"],
  engine: ["Computed by", "计算引擎"],
  image_size: ["Sees", "输入尺寸"],
  pixels: ["{side} × {side} pixels", "{side} × {side} 像素"],
  threshold: ["Unsure below", "低于此值为不确定"],
  digest: ["Model digest", "模型摘要"],
  version: ["frostline", "frostline"],
  api: ["For programs", "程序接口"],
  confidence_says: [
    "The confidence is calibrated where the training had pictures to measure it on: of answers with 80%, about 80 in 100 are right.",
    "若训练时有图片可供测量，置信度已经过校准：置信度为 80% 的判断，100 次中约有 80 次正确。",
  ],
  private: [
    "Pictures go to this server alone, and are forgotten once they are answered.",
    "图片只会发送到本服务器，识别完成后即被丢弃。",
  ],
  private_but_saved: [
    "Pictures go to this server alone, and are forgotten once they are answered, except those that you save with a right class.",
    "图片只会发送到本服务器，识别完成后即被丢弃；您标注并保存的图片除外。",
  ],
  key_needed: ["This server asks for an API key.", "该服务器需要 API 密钥。"],
  key_use: ["Use the key", "使用密钥"],
  problem_0: ["The server cannot be reached. Is it still running?", "无法连接服务器。它还在运行吗？"],
  problem_401: ["The API key is missing or wrong.", "API 密钥缺失或错误。"],
  problem_403: ["The server does not take this.", "服务器拒绝了该请求。"],
  problem_408: ["Sending it took too long.", "上传时间过长。"],
  problem_413: ["It is too large; scale it down.", "图片过大，请缩小后再试。"],
  problem_415: ["It is not a picture in a known format.", "不是受支持的图片格式。"],
  problem_422: ["The picture is damaged.", "图片已损坏。"],
  problem_429: ["The server is too busy; try again in a while.", "服务器繁忙，请稍后再试。"],
  problem_503: ["The server is stopping.", "服务器正在停止。"],
  problem_504: ["The answer took too long.", "识别超时。"],
  problem_507: ["There is no room for more corrections.", "没有空间保存更多修正。"],
  problem: ["Something went wrong.", "出错了。"],
};

let language = "en";

export const chosen = () => language;

export function choose(wanted) {
  language = LANGUAGES.includes(wanted) ? wanted : "en";
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
}

export function word(key, values = {}) {
  const text = WORDS[key][LANGUAGES.indexOf(language)];
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export const problem = status => word(`problem_${status}` in WORDS ? `problem_${status}` : "problem");

export function percent(share) {
  const digits = {minimumFractionDigits: 1, maximumFractionDigits: 1};
  const format = value => new Intl.NumberFormat(language, {style: "percent", ...digits}).format(value);
  return share > 0.9995 && share < 1 ? `>${format(0.999)}` : share < 0.0005 && share > 0 ? `<${format(0.001)}` : format(share);
}
