// The answers as a CSV file, for spreadsheets.

import {word} from "./words.js";

// A name that starts as a formula does must stay a text (https://owasp.org/www-community/attacks/CSV_Injection).
const cell = value => `"${String(value).replace(/^([=+\-@\t\r])/, "'$1").replaceAll('"', '""')}"`;

function row(card) {
  const [best] = card.answer?.top ?? [];
  const others = (card.answer?.top ?? []).slice(1).map(one => `${one.class} ${one.probability.toFixed(4)}`);
  return [
    card.name, best?.class ?? "", best?.probability ?? "", card.answer?.unsure ?? "", others.join("; "),
    card.fault ? card.fault.message || word("not_read") : "",
  ];
}

export function download(cards) {
  const rows = [["file", "class", "probability", "unsure", "others", "error"], ...cards.map(row)];
  const text = "\ufeff" + rows.map(values => values.map(cell).join(",") + "\r\n").join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "text/csv;charset=utf-8"}));
  link.download = "predictions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
