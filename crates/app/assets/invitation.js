// Shows an invitation, signs whoever is invited in (or up), and accepts or declines it.
"use strict";

const form = document.querySelector("form");
const message = document.querySelector(".message[role=status]");
const token = new URLSearchParams(location.search).get("token") ?? "";
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
    const answer = await fetch(`/api/v1${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    const json = await answer.json().catch(() => ({}));
    if (!answer.ok) throw Object.assign(new Error(json.detail ?? `That did not work (${answer.status}).`), { problem: json });
    return json;
}

async function signIn() {
    const { email, password, fullName, code } = Object.fromEntries(new FormData(form));
    if (mfaToken) return call("/auth/mfa/verify", { mfaToken, code });
    return part("isNew").checked ? call("/auth/register", { email, password, fullName }) : call("/auth/login", { email, password });
}

function done(sentence) {
    form.hidden = true;
    history.replaceState(null, "", location.pathname);
    show("good", sentence);
}

function failed(error) {
    const problem = error.problem ?? {};
    if (problem.code === "second_factor_required") {
        mfaToken = problem.mfaToken;
        part("factor").hidden = false;
        part("code").focus();
        return;
    }
    const details = (problem.errors ?? []).map((each) => `${each.field}: ${each.message}`);
    show("bad", details.length > 0 ? details.join(" ") : error.message);
}

async function perform(work) {
    for (const button of form.querySelectorAll("button")) button.disabled = true;
    message.className = "message";
    message.replaceChildren();
    try {
        await work();
    } catch (error) {
        failed(error);
    } finally {
        for (const button of form.querySelectorAll("button")) button.disabled = false;
    }
}

form.addEventListener("submit", (event) => {
    event.preventDefault();
    perform(async () => {
        const { access_token: access } = await signIn();
        await call("/invitations/accept", { token }, access);
        done("You are a member now. You can close this page.");
    });
});
part("decline").addEventListener("click", () => perform(async () => {
    await call("/invitations/decline", { token });
    done("You have declined the invitation.");
}));
part("isNew").addEventListener("change", (event) => {
    part("name").hidden = !event.target.checked;
    part("fullName").required = event.target.checked;
});

perform(async () => {
    const invitation = await call("/invitations/lookup", { token });
    part("invitation").textContent = `${invitation.inviter} invites you to ${invitation.tenantName} as ${invitation.role}.`;
    form.hidden = false;
});
