// Signs the owner of an address in, and claims the site that was bought with it.
"use strict";

const form = document.querySelector("form");
const message = document.querySelector(".message[role=status]");
const token = new URLSearchParams(location.search).get("token") ?? "";
let mfaToken = null;

function show(kind, sentence) {
    message.className = `message ${kind}`;
    message.textContent = sentence;
    message.focus();
}

async function call(path, body, access) {
    const headers = { "Content-Type": "application/json", Accept: "application/json" };
    if (access) headers.Authorization = `Bearer ${access}`;
    const answer = await fetch(`/api/v1${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    const json = await answer.json().catch(() => ({}));
    if (!answer.ok) throw Object.assign(new Error(json.detail ?? `That did not work (${answer.status}).`), { problem: json });
    return json;
}

function signIn() {
    const { email, password, code } = Object.fromEntries(new FormData(form));
    return mfaToken ? call("/auth/mfa/verify", { mfaToken, code }) : call("/auth/login", { email, password });
}

form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
        const { access_token: access } = await signIn();
        const { slug } = await call("/site-purchases/claim", { token }, access);
        form.hidden = true;
        history.replaceState(null, "", location.pathname);
        show("good", `The site ${slug} is yours in a moment. You can close this page.`);
    } catch (error) {
        const problem = error.problem ?? {};
        if (problem.code === "second_factor_required") {
            mfaToken = problem.mfaToken;
            document.getElementById("factor").hidden = false;
            document.getElementById("code").focus();
        } else {
            show("bad", error.message);
        }
    } finally {
        button.disabled = false;
    }
});
