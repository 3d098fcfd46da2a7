// A second click must not send a form again: the browser would drop the first response, which may set a cookie or show
// something only once. After two seconds, a form can be sent again, for example to repeat a download.
const sent = new WeakMap();
addEventListener("submit", (event) => {
  if (event.defaultPrevented) return;
  if (event.timeStamp - (sent.get(event.target) ?? -Infinity) < 2000) event.preventDefault();
  else sent.set(event.target, event.timeStamp);
});
