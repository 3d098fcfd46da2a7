// Forms with `data-passkey` ask the browser for a passkey before they are submitted: an existing one (`get`) or a
// new one (`create`). `data-options` is the path that returns the options, and the field `credential` receives the
// response. With `data-autofill`, browsers also offer passkeys in a field with `autocomplete="webauthn"`.

const LASTS = 4 * 60 * 1000; // A challenge lasts five minutes.
const isSupported = Boolean(window.PublicKeyCredential?.parseRequestOptionsFromJSON);
let waiting = new AbortController(); // Only one request may wait at a time.
let autofillForm = null;
let isAsking = false; // The browser shows a dialog, which must not be interrupted.
let offeredAt = 0;

async function optionsOf(form) {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(form.dataset.options, { method: "POST", headers, body: "{}" });
  const content = await response.json();
  if (!response.ok) throw Object.assign(new Error(content.detail ?? content.title), { status: response.status });
  return content;
}

async function respond(form, mediation) {
  waiting.abort();
  const { signal } = (waiting = new AbortController());
  const options = await optionsOf(form);
  const credential =
    form.dataset.passkey === "create"
      ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options), signal })
      : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options), mediation, signal });
  // Not `form.elements.credential`: a button may have this id, so that error messages can link to it.
  form.querySelector("input[name=credential]").value = JSON.stringify(credential);
  const remember = form.querySelector("input[name=remember]");
  if (remember && document.querySelector("input[type=checkbox][name=remember]:checked")) remember.value = "yes";
  form.submit();
}

function show(form, sentence) {
  const place = form.querySelector("[role=alert]");
  place.textContent = sentence;
  place.hidden = false;
}

function explain(form, error) {
  if (error.name === "NotAllowedError") return; // The user cancelled.
  // The session has ended or is no longer recent. Reloading the page leads to the form that is needed.
  if ([401, 403].includes(error.status)) location.replace(location.pathname + location.search);
  else if (error.name === "InvalidStateError") show(form, form.dataset.known);
  else if (error instanceof DOMException) show(form, form.dataset.failed);
  else show(form, error.message);
}

async function ask(form) {
  isAsking = true;
  try {
    await respond(form);
  } catch (error) {
    if (error.name === "AbortError") return; // Another request took over.
    isAsking = false;
    explain(form, error);
    offerInField();
  }
}

function offerInField() {
  if (isAsking || !autofillForm || document.hidden) return;
  offeredAt = Date.now();
  respond(autofillForm, "conditional").catch((error) => {
    if (error.name !== "AbortError") console.debug(error);
  });
}

for (const sentence of document.querySelectorAll("[data-without-script]")) sentence.remove();
for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.hidden = false;
  if (!isSupported) {
    form.querySelector("button").disabled = true;
    show(form, form.dataset.unsupported);
    continue;
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(form);
  });
  if ("autofill" in form.dataset) {
    PublicKeyCredential.isConditionalMediationAvailable?.().then((isAvailable) => {
      if (!isAvailable) return;
      autofillForm = form;
      offerInField();
      setInterval(offerInField, LASTS);
      document.addEventListener("visibilitychange", () => {
        if (Date.now() - offeredAt >= LASTS) offerInField();
      });
    });
  }
}
