// Completes a sign-in at an OpenID Connect provider, which sent the browser here with a code, and keeps the session in a cookie.
"use strict";

const form = document.querySelector("form");
const message = document.querySelector(".message[role=status]");
const part = (id) => document.getElementById(id);
let mfaToken = null;

function show(kind, sentence) {
    message.className = `message ${kind}`;
    message.textContent = sentence;
    message.focus();
}

async function call(path, body, access) {
    const headers = { "Content-Type": "application/json", Accept: "application/json" };
    if (access) headers.Authorization = `Bearer ${access}`;
    const answer = await fetch(`/api/v1/auth${path}`, { method: "POST", headers, body: JSON.stringify(body), credentials: "same-origin" });
    const json = await answer.json().catch(() => ({}));
    if (!answer.ok) throw Object.assign(new Error(json.detail ?? `That did not work (${answer.status}).`), { problem: json });
    return json;
}

function done(tokens) {
    form.hidden = true;
    document.querySelector("h1").textContent = "Signed in";
    show("good", `You are signed in as ${tokens.user.email}.`);
    const link = document.createElement("a");
    link.href = "/customer";
    link.textContent = "Continue";
    message.append(" ", link);
}

function failed(error) {
    const problem = error.problem ?? {};
    if (problem.code !== "second_factor_required") {
        show("bad", error.message);
        return;
    }
    mfaToken = problem.mfaToken;
    const methods = problem.methods ?? [];
    const takesCode = methods.includes("totp") || methods.includes("recovery_code");
    part("byCode").hidden = !takesCode;
    part("byPasskey").hidden = !(methods.includes("passkey") && window.PublicKeyCredential?.parseRequestOptionsFromJSON);
    form.hidden = false;
    if (takesCode) part("code").focus();
}

async function perform(work) {
    for (const button of form.querySelectorAll("button")) button.disabled = true;
    message.className = "message";
    message.replaceChildren();
    try {
        done(await work());
    } catch (error) {
        failed(error);
    } finally {
        for (const button of form.querySelectorAll("button")) button.disabled = false;
    }
}

form.addEventListener("submit", (event) => {
    event.preventDefault();
    perform(() => call("/mfa/verify", { mfaToken, code: part("code").value, session: "cookie" }));
});

part("byPasskey").addEventListener("click", () => perform(async () => {
    const { options } = await call("/mfa/passkey-options", { mfaToken });
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey);
    const credential = await navigator.credentials.get({ publicKey });
    return call("/mfa/passkey", { mfaToken, credential: credential.toJSON(), session: "cookie" });
}));

perform(async () => {
    const query = new URLSearchParams(location.search);
    // The code is used up by what follows; it does not belong into the history.
    history.replaceState(null, "", location.pathname);
    if (query.has("error")) throw new Error("The provider did not sign you in. Go back and try again.");
    const code = query.get("code") ?? "";
    const state = query.get("state") ?? "";
    if (!code || !state) throw new Error("The address of this page is not complete. Go back and sign in again.");
    // Only the end of an attempt to link needs the session that is there already.
    const current = await call("/refresh", {}).catch(() => null);
    return call("/callback", { code, state, session: "cookie" }, current?.access_token);
});
