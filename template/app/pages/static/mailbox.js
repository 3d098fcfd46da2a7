// Shows new e-mails in the mailbox. Replaces the element with `data-newest` when the newest e-mail changes.
async function lookForMail() {
  const shown = document.querySelector("[data-newest]");
  if (document.hidden || !shown) return;
  const { id } = await (await fetch("/dev/mailbox/newest")).json();
  if (String(id) === shown.dataset.newest) return;
  const page = await (await fetch(location.href)).text();
  const fresh = new DOMParser().parseFromString(page, "text/html").querySelector("main");
  if (document.querySelector(".mailbox.list")) document.querySelector("main").replaceWith(fresh);
  else document.querySelector("#mails").replaceWith(fresh.querySelector("#mails"));
}

// Requests fail while the application restarts. The next check is two seconds later.
setInterval(() => lookForMail().catch(() => {}), 2000);
