// Fills the page from one of the data modules and from version.json.
import { rows } from "./modules/module-01.js";

const about = await (await fetch("version.json")).json();
document.getElementById("version").textContent = about.version;
document.getElementById("rows").replaceChildren(
  ...rows.slice(0, 10).map((row) => Object.assign(document.createElement("li"), { textContent: row.label })),
);
