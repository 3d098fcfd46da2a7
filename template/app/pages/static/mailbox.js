// Shows new mails in the mailbox. The element with `data-newest` is replaced when another mail is the newest.
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

// While the application restarts, requests fail. The next look is in two seconds.
setInterval(() => lookForMail().catch(() => {}), 2000);
