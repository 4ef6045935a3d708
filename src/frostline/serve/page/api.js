// Asks the server. A key that it wants is kept in this page's memory, and nowhere else.

const TRIES = 6;
let key = "";

export function useKey(value) {
  key = value;
}

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  const headers = key ? {Authorization: `Bearer ${key}`} : {};
  for (let left = TRIES; ; left--) {
    let response;
    try {
      response = await fetch(path, {...options, headers});
    } catch {
      throw new Problem(0, "");
    }
    if (response.ok) return response.json();
    if (response.status === 429 && left > 1) {
      await new Promise(resume => setTimeout(resume, 1000 * (Number(response.headers.get("Retry-After")) || 1)));
      continue;
    }
    const told = await response.json().catch(() => ({}));
    throw new Problem(response.status, String(told.error ?? ""));
  }
}

function form(fields) {
  const made = new FormData();
  for (const [name, value] of Object.entries(fields)) made.append(name, value);
  return made;
}

export const askModel = () => ask("v1/model");

export async function askPicture(file, withHeat) {
  const answer = await ask(`v1/predict?heat_map=${withHeat}`, {method: "POST", body: form({pictures: file})});
  return answer.pictures[0];
}

export const sendCorrection = (file, name) => ask("v1/corrections", {method: "POST", body: form({class: name, picture: file})});
