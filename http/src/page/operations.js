// @ts-check
// Maintenance: what an administrator may do, each after a confirmation.

import { operate, Refused } from "./api.js";
import { element, make, setText, typed } from "./dom.js";
import { bytes, counted, namespaceLabel } from "./format.js";
import { fillChoice, knownNamespaces } from "./namespaces.js";

/** @typedef {import("./api.js").Monitor} Monitor */
/**
 * @typedef {object} Operation
 * @property {string} name
 * @property {string} title
 * @property {string} about said beside the button
 * @property {string} warning said in the dialog
 * @property {"one" | "many" | "store"} scope one namespace at a time, several, or the store as a whole
 * @property {boolean} [danger] it removes what is still valid
 * @property {Field[]} [fields]
 * @property {(deleted: number) => string} done
 */
/** @typedef {{ name: string, label: string, units: [string, number][], required?: boolean }} Field */

/** @type {[string, number][]} */
const TIMES = [["hours", 3600], ["days", 86_400], ["minutes", 60], ["seconds", 1]];
/** @type {[string, number][]} */
const SIZES = [["MB", 1e6], ["GB", 1e9], ["kB", 1e3], ["bytes", 1]];

/** @type {Operation[]} */
const OPERATIONS = [
  {
    name: "sweep",
    title: "Sweep",
    about: "Removes expired keys, and values that no key points at.",
    warning: "Expired keys, and values that no key points at, are removed. Nothing that can still be read goes.",
    scope: "many",
    done: (deleted) => `Sweep removed ${counted(deleted, "value")}.`,
  },
  {
    name: "prune",
    title: "Prune",
    about: "Removes expired keys, and on request old and idle ones.",
    warning: "Expired keys are removed, and those that a bound below names. This cannot be undone.",
    scope: "many",
    danger: true,
    fields: [
      { name: "max_age_s", label: "Also keys put longer ago than", units: TIMES },
      { name: "max_idle_s", label: "Also keys not used for", units: TIMES },
    ],
    done: (deleted) => `Prune removed ${counted(deleted, "key")}.`,
  },
  {
    name: "evict",
    title: "Evict",
    about: "Removes the least recently used keys until a size is reached.",
    warning: "The least recently used keys are removed until no more than this is left. This cannot be undone.",
    scope: "one",
    danger: true,
    fields: [{ name: "target_bytes", label: "Keep at most", units: SIZES, required: true }],
    done: (deleted) => `Evict removed ${counted(deleted, "key")}.`,
  },
  {
    name: "flush",
    title: "Flush",
    about: "Makes everything durable against power loss, and checkpoints the index.",
    warning: "All that was put is synced to the disk, which may take a while on a busy store. Nothing is removed.",
    scope: "store",
    done: () => "Everything is on the disk.",
  },
];

/** @type {string | null} */
let namespace = null;
/** @type {Operation | null} */
let asked = null;
let running = false;

/** Builds the buttons and the dialog. @param {() => void} changed called after an operation */
export function makeOperations(changed) {
  for (const operation of OPERATIONS) {
    const item = make("li");
    const button = make("button", "quiet", `${operation.title}…`);
    button.type = "button";
    button.dataset.operation = operation.name;
    button.addEventListener("click", () => ask(operation));
    item.append(make("p", "", operation.about), button);
    element("operations").append(item);
  }
  const dialog = typed("confirm", HTMLDialogElement);
  element("confirm-cancel").addEventListener("click", () => dialog.close());
  element("confirm-form").addEventListener("submit", (event) => {
    event.preventDefault();
    void run().then(changed);
  });
}

/** Shows the buttons to those who may use them, and to the others why not.
 * @param {Monitor} answer @param {string | null} chosen the namespace that is shown, `null`: all */
export function showOperations(answer, chosen) {
  namespace = chosen;
  const allowed = answer.role === "admin" && !answer.read_only;
  element("operations").hidden = !allowed;
  const reason = answer.read_only
    ? "The store is open read-only, so nothing can be removed here."
    : "Sweep, prune, evict and flush need a token with the role admin.";
  setText(element("operations-locked"), allowed ? "" : reason);
  const dialog = typed("confirm", HTMLDialogElement);
  if (!allowed && dialog.open) dialog.close();
}

/** Opens the dialog. @param {Operation} operation */
function ask(operation) {
  if (running) return;
  asked = operation;
  setText(element("confirm-title"), `${operation.title}?`);
  setText(element("confirm-text"), operation.warning);
  setText(element("confirm-error"), "");
  const fields = element("confirm-fields");
  fields.replaceChildren();
  if (operation.scope !== "store") fields.append(namespaceField(operation));
  for (const field of operation.fields ?? []) fields.append(numberField(field));
  const button = element("confirm-do");
  setText(button, operation.title);
  button.classList.toggle("danger", operation.danger === true);
  const dialog = typed("confirm", HTMLDialogElement);
  dialog.showModal();
  element("confirm-cancel").focus();
}

/** @param {Operation} operation */
function namespaceField(operation) {
  const place = make("div");
  const label = make("label", "", "Namespace");
  const select = make("select");
  label.htmlFor = select.id = "confirm-namespace";
  const rows = knownNamespaces();
  // Which of them a store-wide size would be taken from, nobody can tell.
  fillChoice(select, rows, operation.scope === "many");
  const first = operation.scope === "many" ? "*" : "=";
  select.value = namespace === null ? first : `=${namespace}`;
  place.append(label, select);
  if (operation.name === "evict") {
    const note = make("p", "note");
    const tell = () => {
      const row = rows.find((one) => `=${one.name}` === select.value);
      setText(note, row ? `It holds ${bytes(row.bytes)} now.` : "");
    };
    select.addEventListener("change", tell);
    tell();
    place.append(note);
  }
  return place;
}

/** @param {Field} field */
function numberField(field) {
  const place = make("div");
  const label = make("label", "", field.label);
  const pair = make("div", "pair");
  const input = make("input");
  const unit = make("select");
  label.htmlFor = input.id = `confirm-${field.name}`;
  input.type = "number";
  input.min = "0";
  input.step = "any";
  input.inputMode = "decimal";
  input.required = field.required === true;
  if (!field.required) input.placeholder = "no bound";
  input.dataset.field = field.name;
  unit.setAttribute("aria-label", `Unit of “${field.label}”`);
  for (const [name, size] of field.units) {
    const option = make("option", "", name);
    option.value = String(size);
    unit.append(option);
  }
  pair.append(input, unit);
  place.append(label, pair);
  return place;
}

/** The body of the request: whole bytes and seconds. */
function body() {
  /** @type {Record<string, number>} */
  const wanted = {};
  for (const input of element("confirm-fields").querySelectorAll("input")) {
    const unit = input.parentElement?.querySelector("select");
    const amount = Math.round(Number(input.value) * Number(unit?.value ?? 1));
    if (input.value !== "" && input.dataset.field) wanted[input.dataset.field] = amount;
  }
  return wanted;
}

/** @param {Operation} operation @returns {(string | null)[]} */
function targets(operation) {
  if (operation.scope === "store") return [null];
  const chosen = typed("confirm-namespace", HTMLSelectElement).value;
  if (chosen !== "*") return [chosen.slice(1)];
  return knownNamespaces().map((row) => row.name);
}

async function run() {
  const operation = asked;
  if (!operation || running) return;
  running = true;
  const button = typed("confirm-do", HTMLButtonElement);
  button.disabled = true;
  setText(element("confirm-error"), "");
  setText(element("outcome"), "");
  let deleted = 0;
  const names = targets(operation);
  const request = body();
  try {
    for (const [i, name] of names.entries()) {
      setText(button, names.length > 1 ? `${i + 1} of ${names.length}…` : "At work…");
      const result = await operate(operation.name, name, request);
      deleted += Number(result.deleted) || 0;
    }
    typed("confirm", HTMLDialogElement).close();
    const where = names.length === 1 && names[0] != null ? ` in ${namespaceLabel(names[0])}` : "";
    setText(element("outcome"), operation.done(deleted).replace(/\.$/, `${where}.`));
  } catch (error) {
    const why = error instanceof Refused ? error.message : "The server did not answer.";
    setText(element("confirm-error"), `${operation.title} failed: ${why}`);
    // The dialog may be closed by now.
    if (!typed("confirm", HTMLDialogElement).open) setText(element("outcome"), `${operation.title} failed: ${why}`);
  } finally {
    running = false;
    button.disabled = false;
    setText(button, operation.title);
  }
}
