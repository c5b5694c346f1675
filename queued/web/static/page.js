"use strict";
// Submits jobs and shows how they go. What the page knows of a job is what the service said last.

const MAX_STREAMS = 3; // a browser opens six connections to a host over HTTP/1.1, and other tabs want some
const FIRST_WORD = 6000; // ms in which a stream must have said something; later, something holds it back on its way
const SILENCE = 45000; // ms without even a comment: the connection is dead, whatever the browser believes
const SHOWN = 4000; // characters of a result that are shown
const MOST_WAIT = 30000; // ms between two questions where nothing answers
const KEPT = "queued.jobs";
const FINAL = new Set(["done", "failed", "cancelled", "expired", "unknown"]);
const WORDS = { unknown: "not known any more" };

const $ = (selector, within = document) => within.querySelector(selector);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const jobs = new Map(); // id → what is known, newest last
let key = ""; // the API key: here and nowhere else
let streams = 0;
let clockAhead = 0; // ms that the server's clock is ahead of ours

// --- asking the service ---

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (key) headers.Authorization = `Bearer ${key}`;
  const response = await fetch(path, { ...options, headers, cache: "no-store", redirect: "error" });
  const said = Date.parse(response.headers.get("Date") ?? "");
  // The header knows whole seconds only: a smaller difference is none.
  if (said) clockAhead = Math.abs(said + 500 - Date.now()) > 2000 ? said + 500 - Date.now() : 0;
  return response;
}

function retryAfter(response) {
  const seconds = Number(response.headers.get("Retry-After") ?? NaN);
  return Math.min(MOST_WAIT, 1000 * (seconds > 0 ? seconds : 1));
}

// The problem details (RFC 9457) of an answer, or as much as can be said where something else answered.
async function problemOf(response) {
  let said = null;
  if ((response.headers.get("Content-Type") ?? "").includes("json")) said = await response.json().catch(() => null);
  return { title: said?.title ?? `The service answered ${response.status}`, detail: said?.detail ?? "" };
}

const inWords = (problem) => [problem.title, problem.detail].filter(Boolean).join(": ");

// --- what was submitted here, through a reload ---

function keep() {
  const kept = [...jobs.values()].map(({ id, task, given, n }) => ({ id, task, given, n }));
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(kept));
  } catch {
    // storage is switched off or full: the page works, and forgets at a reload
  }
}

function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT) ?? "[]").filter((job) => typeof job?.id === "string");
  } catch {
    return [];
  }
}

// --- a job and its card ---

function add({ id, task, given, n }, said) {
  const card = $("#card").content.cloneNode(true).firstElementChild;
  const job = { id, task, given, n: n ?? jobs.size + 1, card, state: "", heard: Date.now(), wake: () => {} };
  jobs.set(id, job);
  $("article", card).setAttribute("aria-label", `Job ${job.n}`);
  $("h3", card).textContent = `${job.n}. ${task ?? "Job"}`;
  $(".given", card).textContent = given ?? "";
  $(".cancel", card).addEventListener("click", () => cancel(job));
  $(".remove", card).addEventListener("click", () => remove(job));
  $("#jobs").prepend(card);
  $("#none").hidden = true;
  if (said) learn(job, said);
  draw(job);
  watch(job);
  return job;
}

function remove(job) {
  job.removed = true;
  job.stop?.abort();
  jobs.delete(job.id);
  job.card.remove();
  $("#none").hidden = jobs.size > 0;
  keep();
  $("#your-jobs").focus(); // the button that had it is gone
}

// Take over what the service said. A final state stays: an older answer may come late.
function learn(job, said) {
  const before = job.state;
  if (FINAL.has(before) && !FINAL.has(said.state ?? "")) return;
  const { id: _, ...facts } = said;
  Object.assign(job, facts);
  job.heard = Date.now();
  job.trouble = "";
  if (job.state !== before) {
    tell(`Job ${job.n}, ${job.task ?? ""}: ${WORDS[job.state] ?? job.state}.`);
    if (job.state === "done") fetchResult(job);
  }
  if (FINAL.has(job.state)) job.stop?.abort();
  draw(job);
}

function tell(words) {
  $("#told").textContent = words;
}

function duration(seconds) {
  const s = Math.max(0, seconds);
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 90) return `${Math.round(s)} s`;
  const minutes = Math.floor(s / 60);
  return s < 5400 ? `${minutes} min ${Math.floor(s % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function fact(job, name, value, label) {
  const row = $(`.${name}`, job.card);
  row.hidden = value === null;
  if (value === null) return;
  write($("dd", row), value);
  if (label) write($("dt", row), label);
}

// Only what changed is written: a screen reader or a selection is not disturbed by the rest.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function line(job, selector, text) {
  const element = $(selector, job.card);
  if (element.textContent !== text) element.textContent = text;
  element.hidden = text === "";
}

function draw(job) {
  const { card } = job;
  const final = FINAL.has(job.state);
  $("article", card).dataset.state = job.state;
  write($("h3", card), `${job.n}. ${job.task ?? "Job"}`);
  write($(".state", card), WORDS[job.state] ?? (job.state || "asking …"));
  drawTimes(job);
  fact(job, "attempt", job.attempt > 1 ? String(job.attempt) : null);
  const progress = job.progress ?? null;
  $(".progress", card).hidden = job.state !== "running" || progress === null;
  if (progress !== null) {
    const bar = $("progress", card);
    bar.value = progress;
    bar.setAttribute("aria-label", `Progress of job ${job.n}`);
    write($(".percent", card), `${Math.floor(100 * progress)} %`);
  }
  line(job, ".note", job.state === "running" ? (job.note ?? "") : "");
  const failure = job.problem ? inWords(job.problem) : "";
  const ownFailure = job.state === "failed" || job.state === "unknown";
  line(job, ".trouble", job.trouble || (ownFailure ? failure : ""));
  line(job, ".before", failure && !final ? `The attempt before: ${failure}` : "");
  line(job, ".connection", final ? "" : (job.connection ?? ""));
  const stop = $(".cancel", card);
  // Focus must not fall off the page when the pressed button goes.
  if (final && stop === document.activeElement) $("h3", card).focus();
  stop.hidden = final || !job.state;
  stop.setAttribute("aria-label", `Cancel job ${job.n}`);
  $(".remove", card).hidden = !final && Boolean(job.state);
  $(".remove", card).setAttribute("aria-label", `Remove job ${job.n} from this page`);
}

function drawTimes(job) {
  const now = (Date.now() + clockAhead) / 1000;
  const queued = job.state === "queued";
  const ahead = job.ahead ?? null;
  fact(job, "place", queued && ahead !== null ? String(ahead) : null);
  const wait = job.expected_wait ?? null;
  const left = wait === null ? null : wait - (Date.now() - job.heard) / 1000;
  fact(job, "wait", queued && left !== null ? (left < 0.1 ? "any moment" : `about ${duration(left)}`) : null);
  if (queued && job.created) fact(job, "time", duration(now - job.created), "Waiting for");
  else if (job.state === "running" && job.started) fact(job, "time", duration(now - job.started), "Running for");
  else if (job.finished && job.started) fact(job, "time", duration(job.finished - job.started), "Ran for");
  else fact(job, "time", null);
}

setInterval(() => {
  for (const job of jobs.values()) if (!FINAL.has(job.state)) drawTimes(job);
}, 200);

// --- watching ---

async function watch(job) {
  let failures = 0;
  while (!FINAL.has(job.state) && !job.removed) {
    const streaming = streams < MAX_STREAMS && !document.hidden && Date.now() >= (job.streamFrom ?? 0);
    let pause;
    try {
      pause = await (streaming ? follow(job) : poll(job));
      failures = 0;
      job.connection = "";
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // fetch's word for "no answer"
      failures += 1;
      job.connection = "The service can't be reached; trying again …";
      pause = Math.min(MOST_WAIT, 500 * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2);
    }
    if (job.removed || FINAL.has(job.state)) return;
    draw(job);
    await Promise.race([sleep(pause), new Promise((resolve) => (job.wake = resolve))]);
  }
}

// Ask once. Gives the ms after which to ask again.
async function poll(job) {
  const headers = job.etag ? { "If-None-Match": job.etag } : {};
  const response = await ask(`jobs/${encodeURIComponent(job.id)}`, { headers });
  if (response.status === 200) {
    job.etag = response.headers.get("ETag") ?? "";
    learn(job, await response.json());
  } else if (response.status !== 304) return refused(job, response);
  return Math.max(retryAfter(response), document.hidden ? 5000 : 0);
}

// What to make of an answer that is none. Gives the ms after which to ask again.
async function refused(job, response) {
  const problem = await problemOf(response);
  if (response.status === 401 || response.status === 403) {
    job.trouble = `${inWords(problem)}. Give the API key to go on.`;
    draw(job);
    return 2 ** 31 - 1; // until a key is given
  }
  if (response.status === 404 || response.status === 410) {
    learn(job, { state: "unknown", problem });
    return 0;
  }
  job.connection = `${inWords(problem)}; asking again …`;
  draw(job);
  await sleep(retryAfter(response));
  return 0;
}

// Read the job's events until they end. fetch and not EventSource: it sends the API key, and sees a 404 or a 503
// for what it is. Gives the ms after which to go on.
async function follow(job) {
  const stop = (job.stop = new AbortController());
  let heard = false;
  let timer = setTimeout(() => stop.abort(), FIRST_WORD);
  const begun = Date.now();
  streams += 1;
  try {
    const response = await ask(`jobs/${encodeURIComponent(job.id)}/events`, {
      headers: { Accept: "text/event-stream" },
      signal: stop.signal,
    });
    if (response.status === 503) {
      job.streamFrom = Date.now() + Math.max(10000, retryAfter(response)); // too many waiters: polls do meanwhile
      return 0;
    }
    if (!response.ok) return await refused(job, response);
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      heard = true;
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), SILENCE);
      const parts = (rest + decoder.decode(value, { stream: true })).replace(/\r\n/g, "\n").split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const data = part.split("\n").filter((l) => l.startsWith("data:")).map((l) => l.slice(5)).join("\n");
        if (data) learn(job, JSON.parse(data));
      }
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    if (!heard && !document.hidden) job.streamFrom = Date.now() + 60000; // something on the way holds it back
  } finally {
    clearTimeout(timer);
    streams -= 1;
    if (job.stop === stop) job.stop = null;
  }
  return Date.now() - begun < 1000 ? 1000 : 0;
}

// A hidden page gives its connections back; a page that is seen again wants to know at once.
document.addEventListener("visibilitychange", () => {
  for (const job of jobs.values()) {
    if (document.hidden) job.stop?.abort();
    job.wake();
  }
});

// --- the result ---

async function fetchResult(job, tries = 5) {
  let text = "";
  let size = null;
  try {
    const response = await ask(`jobs/${encodeURIComponent(job.id)}/result`);
    if (!response.ok) {
      if (tries > 0 && [409, 429, 503].includes(response.status)) {
        await sleep(retryAfter(response));
        return fetchResult(job, tries - 1);
      }
      job.trouble = inWords(await problemOf(response));
      return draw(job);
    }
    size = Number(response.headers.get("Content-Length")) || null;
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    // Never more than is shown: a result may be larger than a phone's memory.
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      text += decoder.decode(part.value, { stream: true });
      if (text.length > 2 * SHOWN) {
        reader.cancel();
        break;
      }
    }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    if (tries > 0) return sleep(1000).then(() => fetchResult(job, tries - 1));
    job.trouble = "The result can't be fetched: the service can't be reached.";
    return draw(job);
  }
  showResult(job, text, size);
}

function showResult(job, text, size) {
  // As it was written: reading it as JSON and writing it again would round long numbers.
  const output = text.replace(/^\s*\{\s*"output"\s*:\s*/, "");
  const whole = output.length <= SHOWN;
  const shown = whole ? output.replace(/\}\s*$/, "") : output.slice(0, SHOWN) + " …";
  const place = $(".result", job.card);
  const pre = $("pre", place);
  pre.textContent = shown;
  pre.setAttribute("aria-label", `Result of job ${job.n}`);
  const link = $("a", place);
  link.href = `jobs/${encodeURIComponent(job.id)}/result`;
  link.download = `result-${job.id.slice(0, 8)}.json`;
  link.addEventListener("click", (event) => {
    if (!key) return; // a plain link can't carry a key
    event.preventDefault();
    save(job, link.download);
  });
  $("span", $(".cut", place)).textContent =
    `Its first ${SHOWN.toLocaleString("en")} characters${size ? ` of ${size.toLocaleString("en")} bytes` : ""}.`;
  $(".cut", place).hidden = whole;
  place.hidden = false;
  if (whole && shown.length <= 200) tell(`Job ${job.n}, ${job.task ?? ""}: done. Result: ${shown}`);
}

async function save(job, name) {
  const response = await ask(`jobs/${encodeURIComponent(job.id)}/result`).catch(() => null);
  if (!response?.ok) {
    job.trouble = response ? inWords(await problemOf(response)) : "The service can't be reached.";
    return draw(job);
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// --- cancelling ---

// Not `disabled`: that takes the focus away from who works by keyboard.
function busy(button) {
  if (button.getAttribute("aria-disabled") === "true") return false;
  button.setAttribute("aria-disabled", "true");
  return true;
}

const free = (button) => button.removeAttribute("aria-disabled");

async function cancel(job) {
  if (!busy($(".cancel", job.card))) return;
  try {
    // The way to cancel also deletes what has ended, so look first: a result that came meanwhile is worth having.
    const now = await ask(`jobs/${encodeURIComponent(job.id)}`);
    if (now.status === 200) learn(job, await now.json());
    if (FINAL.has(job.state)) return;
    const response = await ask(`jobs/${encodeURIComponent(job.id)}`, { method: "DELETE" });
    if (response.ok) {
      // 204: it ended between the two questions, and is forgotten
      const gone = { state: "unknown", problem: { title: "It had ended", detail: "and is deleted now" } };
      learn(job, response.status === 204 ? gone : await response.json());
    } else job.trouble = inWords(await problemOf(response));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    job.trouble = "It could not be cancelled: the service can't be reached.";
  } finally {
    free($(".cancel", job.card));
    draw(job);
  }
}

// --- the form ---

const form = $("#form");
let attempt = null; // the submission that got no clear answer, and its idempotency key

function wrong(words, field = $("#input")) {
  const place = $("#wrong");
  place.textContent = words;
  place.hidden = words === "";
  for (const each of form.querySelectorAll("[aria-invalid]")) each.removeAttribute("aria-invalid");
  if (words === "") return;
  field.setAttribute("aria-invalid", "true");
  const fold = field.closest("details");
  if (fold) fold.open = true;
  field.focus();
}

function showExample() {
  const { example } = $("#task").selectedOptions[0]?.dataset ?? {};
  $("#example").hidden = example === undefined;
  if (example !== undefined) $("#example code").textContent = example;
}

// The body as text: a number keeps all its digits, which JSON.parse would not let it.
function body() {
  const task = $("#task").value;
  const text = $("#input").value;
  const fields = [["task", JSON.stringify(task)]];
  if (form.elements.as.value === "text") fields.push(["input", JSON.stringify(text)]);
  else {
    try {
      JSON.parse(text);
    } catch (error) {
      wrong(text.trim() === "" ? "The input is missing." : `This is not JSON: ${error.message}`);
      return null;
    }
    fields.push(["input", text.trim()]);
  }
  const deadline = $("#deadline");
  if (!deadline.validity.valid) {
    wrong("The time within which it is wanted must be a number of seconds above 0.", deadline);
    return null;
  }
  if (deadline.value !== "") fields.push(["deadline", String(Number(deadline.value))]);
  const priority = $("#priority")?.value;
  if (priority) fields.push(["priority", JSON.stringify(priority)]);
  return `{${fields.map(([name, value]) => `"${name}":${value}`).join(",")}}`;
}

function randomKey() {
  // crypto.randomUUID exists over https only
  return [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
}

async function submit() {
  wrong("");
  const content = body();
  if (content === null) return;
  if (attempt?.content !== content) attempt = { content, key: randomKey() };
  const task = $("#task").value;
  const given = $("#input").value.trim();
  if (!busy($("button.main", form))) return;
  try {
    const response = await ask("jobs", {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": attempt.key },
      body: content,
    });
    if (response.ok) {
      const said = await response.json();
      attempt = null;
      if (jobs.has(said.id)) return;
      const n = Math.max(0, ...[...jobs.values()].map((job) => job.n)) + 1;
      add({ id: said.id, task, given: given.length > 120 ? `${given.slice(0, 120)} …` : given, n }, said);
      keep();
      return;
    }
    const problem = inWords(await problemOf(response));
    const again = response.headers.get("Retry-After");
    if (response.status < 500) attempt = null; // a clear no: the next submission is another one
    if (response.status === 401 || response.status === 403) wrong(problem, $("#key") ?? $("#input"));
    else wrong(again ? `${problem}. Try again in ${duration(Number(again))}.` : problem);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    wrong("The service can't be reached. Submit again: it will not become a second job.");
  } finally {
    free($("button.main", form));
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
$("#input").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
$("#task").addEventListener("change", showExample);
$("#example button").addEventListener("click", () => {
  $("#input").value = $("#example code").textContent;
  form.elements.as.value = "json";
  wrong("");
  $("#input").focus();
});
$("#key")?.addEventListener("input", (event) => {
  key = event.target.value.trim();
});
$("#key")?.addEventListener("change", () => {
  for (const job of jobs.values()) job.wake();
});

showExample();
for (const job of kept()) add(job);
