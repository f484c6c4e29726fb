// Sends the form of a page that an email led to, together with the token of the link, and shows what came of it.
"use strict";

const form = document.querySelector("form[data-action]");
const message = document.querySelector(".message[role=status]");
const button = form.querySelector("button[type=submit]");
const token = new URLSearchParams(location.search).get("token") ?? "";

function show(kind, sentences) {
    message.className = `message ${kind}`;
    message.replaceChildren(
        ...sentences.map((sentence) => {
            const paragraph = document.createElement("p");
            paragraph.textContent = sentence;
            return paragraph;
        }),
    );
    message.focus();
}

function clearErrors() {
    message.className = "message";
    message.replaceChildren();
    for (const list of form.querySelectorAll("[data-errors-of]")) list.replaceChildren();
    for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

// Shows problem details (RFC 9457): errors of fields at the fields, everything else in one place.
function showProblem(problem, status) {
    const elsewhere = [];
    let first = null;
    for (const error of Array.isArray(problem.errors) ? problem.errors : []) {
        const list = form.querySelector(`[data-errors-of="${CSS.escape(error.field)}"]`);
        if (!list) {
            elsewhere.push(error.field === "token" ? "The link is not complete. Open it from the email again." : error.message);
            continue;
        }
        const item = document.createElement("li");
        item.textContent = error.message;
        list.append(item);
        const input = form.elements.namedItem(error.field);
        input?.setAttribute("aria-invalid", "true");
        first ??= input;
    }
    if (first && elsewhere.length === 0) {
        first.focus();
        return;
    }
    if (elsewhere.length === 0) elsewhere.push(problem.detail ?? `That did not work (${status}). Try again later.`);
    show("bad", elsewhere);
}

async function send() {
    const fields = Object.fromEntries(new FormData(form));
    const answer = await fetch(form.dataset.action, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: JSON.stringify({ token, ...fields }),
        credentials: "omit",
    });
    if (!answer.ok) {
        showProblem(await answer.json().catch(() => ({})), answer.status);
        return;
    }
    form.hidden = true;
    // The link is used up; nothing is gained by keeping it in the history.
    history.replaceState(null, "", location.pathname);
    const answered = await answer.json().catch(() => ({}));
    const more = answered.passwordRequired ? ["Somebody else had used this address too. To be safe, set a new password with the link that we have just sent you."] : [];
    show("good", [form.dataset.done, ...more]);
}

form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearErrors();
    button.disabled = true;
    try {
        await send();
    } catch {
        show("bad", ["The server could not be reached. Check your connection and try again."]);
    } finally {
        button.disabled = false;
    }
});

for (const box of form.querySelectorAll("[data-reveals]")) {
    const input = form.elements.namedItem(box.dataset.reveals);
    box.addEventListener("change", () => {
        input.type = box.checked ? "text" : "password";
    });
}

if (!token) {
    form.hidden = true;
    show("bad", ["The link is not complete. Open it from the email again."]);
}
