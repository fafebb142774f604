// The API reference: fills this service's URL into the commands, and sends the forms' requests.

const root = new URL(".", location.href);
document.getElementById("address").textContent = `URL=${root.href.replace(/\/$/, "")}`;

const LONGEST = 20000; // characters of a response

for (const form of document.querySelectorAll("form[data-path]")) {
  const outcome = form.querySelector(".outcome");
  const output = form.querySelector(".output");
  const type = form.querySelector(".content-type");
  const body = form.querySelector("textarea");

  type?.addEventListener("change", () => {
    body.value = type.selectedOptions[0].dataset.example;
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    let path = form.dataset.path;
    const query = new URLSearchParams();
    const headers = new Headers();
    for (const { name, value, dataset } of form.querySelectorAll("[data-in]")) {
      if (dataset.in === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
      else if (value !== "" && dataset.in === "query") query.append(name, value);
      else if (value !== "") headers.set(name, value);
    }
    const accept = form.querySelector(".accept");
    if (accept) headers.set("Accept", accept.value);
    if (body) headers.set("Content-Type", type.value);
    outcome.textContent = "Sent …";
    try {
      const url = new URL(path.slice(1), root);
      url.search = query;
      const begun = performance.now();
      const response = await fetch(url, { method: form.dataset.method, headers, body: body?.value });
      const text = await response.text();
      const took = (performance.now() - begun).toFixed(0);
      const kind = response.headers.get("Content-Type") ?? "no content";
      outcome.textContent = `${response.status} ${response.statusText} · ${kind} · ${took} ms`;
      output.textContent = pretty(text, kind).slice(0, LONGEST);
      output.hidden = text === "";
    } catch (error) {
      outcome.textContent = `No answer: ${error.message}.`;
      output.hidden = true;
    }
  });
}

function pretty(text, kind) {
  try {
    return kind.includes("json") ? JSON.stringify(JSON.parse(text), null, 2) : text;
  } catch {
    return text;
  }
}
