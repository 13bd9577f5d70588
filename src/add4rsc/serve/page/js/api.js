// The server's side. Paths are relative, so that the page works below any prefix.

import { byId } from "./dom.js";

/** What went wrong, in the server's words: `message` and `remedy`. */
export class ApiProblem extends Error {
  constructor(status, body, retryAfter = 0) {
    super(body?.problem || body?.detail || `The server answered ${status}`);
    this.status = status;
    this.remedy = body?.remedy || "";
    this.errors = body?.errors || [];
    this.retryAfter = retryAfter;
  }
}

const NO_SERVER = { problem: "The server cannot be reached", remedy: "Look whether `add4rsc serve` still runs" };
let tokenAsked = null;

/** Ask for the token until the server takes one. Many calls that fail at once ask only once. */
function askForToken() {
  tokenAsked ??= new Promise((resolve) => {
    const dialog = byId("token");
    const form = byId("token-form");
    const submit = async (event) => {
      event.preventDefault();
      const body = JSON.stringify({ token: byId("token-field").value });
      const answer = await fetch("v1/session", { method: "POST", body, headers: { "Content-Type": "application/json" } });
      if (!answer.ok) {
        byId("token-problem").textContent = "That is not the token.";
        return;
      }
      form.removeEventListener("submit", submit);
      dialog.close();
      tokenAsked = null;
      resolve();
    };
    form.addEventListener("submit", submit);
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.showModal();
  });
  return tokenAsked;
}

const pause = (duration) => new Promise((resolve) => setTimeout(resolve, 1000 * duration));

async function problemOf(answer) {
  const body = await answer.json().catch(() => null);
  return new ApiProblem(answer.status, body, Number(answer.headers.get("Retry-After")) || 0);
}

/** Ask the server; waits when it is full, asks for the token when it wants one. */
export async function ask(path, options = {}, patience = 5) {
  const answer = await fetch(path, options).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new ApiProblem(0, NO_SERVER);
  });
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const problem = await problemOf(answer);
  if (problem.status === 401) {
    await askForToken();
    return ask(path, options, patience);
  }
  if (problem.status === 503 && patience > 0) {
    await pause(Math.min(problem.retryAfter || 2, 30));
    return ask(path, options, patience - 1);
  }
  throw problem;
}

function sendOnce(path, form, onShare) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.responseType = "json";
    request.upload.onprogress = (event) => event.lengthComputable && onShare(event.loaded / event.total);
    request.onload = () => {
      if (request.status < 300) resolve(request.response);
      else reject(new ApiProblem(request.status, request.response, Number(request.getResponseHeader("Retry-After")) || 0));
    };
    request.onerror = () => reject(new ApiProblem(0, NO_SERVER));
    request.send(form);
  });
}

/** Send files, with the share that has gone. `fetch` cannot tell it. */
export async function send(path, files, onShare, patience = 20) {
  const form = new FormData();
  files.forEach((file) => form.append("file", file, file.name));
  try {
    return await sendOnce(path, form, onShare);
  } catch (problem) {
    if (problem.status === 401) await askForToken();
    else if (problem.status === 503 && patience > 0) await pause(Math.min(problem.retryAfter || 2, 30));
    else throw problem;
    return send(path, files, onShare, patience - 1);
  }
}

export const query = (values) =>
  new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined)).toString();

export const recordingPath = (id, part = "", values = {}) => {
  const text = query(values);
  return `v1/recordings/${id}${part && `/${part}`}${text && `?${text}`}`;
};

const LONGEST_SILENCE = 20_000; // milliseconds: then it is asked for by hand

/** Follow a recording until it is judged or its stream falls silent; `onProgress` for each step. */
export function follow(id, onProgress) {
  return new Promise((resolve) => {
    const source = new EventSource(recordingPath(id, "events"));
    let timer = 0;
    const stop = () => {
      clearTimeout(timer);
      source.close();
      resolve();
    };
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(stop, LONGEST_SILENCE);
    };
    wait();
    source.addEventListener("progress", (event) => {
      wait();
      onProgress(JSON.parse(event.data));
    });
    source.addEventListener("end", stop);
    source.onerror = () => source.readyState === EventSource.CLOSED && stop();
  });
}

/** Bytes of what the server sends as base64. */
export const bytesOf = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
