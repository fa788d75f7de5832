"use strict";

for (const figure of document.querySelectorAll("figure[data-view]")) {
  const stage = figure.querySelector(".stage");
  const handles = [...figure.querySelectorAll(".wipe")];
  const places = handles.map((_, number) => (100 * (number + 1)) / (handles.length + 1));

  function show(view) {
    figure.dataset.view = view;
    for (const button of figure.querySelectorAll("[data-view]"))
      button.setAttribute("aria-pressed", String(button.dataset.view === view));
  }

  function move(number, percent) {
    const low = number > 0 ? places[number - 1] : 0;
    const high = number < places.length - 1 ? places[number + 1] : 100;
    places[number] = Math.min(high, Math.max(low, percent));
    figure.style.setProperty(`--wipe${number}`, `${places[number]}%`);
    handles[number].setAttribute("aria-valuenow", places[number].toFixed(0));
  }

  function follow(event, number) {
    const box = stage.getBoundingClientRect();
    move(number, (100 * (event.clientX - box.left)) / box.width);
  }

  function nearest(event) {
    const box = stage.getBoundingClientRect();
    const at = (100 * (event.clientX - box.left)) / box.width;
    const far = places.map((place) => Math.abs(place - at));
    const least = Math.min(...far);
    const first = far.indexOf(least);
    return at > places[first] ? far.lastIndexOf(least) : first;
  }

  let held = null;
  stage.addEventListener("pointerdown", (event) => {
    if (figure.dataset.view !== "wipe" || event.button !== 0) return;
    held = nearest(event);
    stage.setPointerCapture(event.pointerId);
    handles[held].focus({ preventScroll: true });
    follow(event, held);
    event.preventDefault();
  });
  stage.addEventListener("pointermove", (event) => { if (held !== null) follow(event, held); });
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => { held = null; });

  handles.forEach((handle, number) => handle.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 10 : 1;
    const target = { ArrowLeft: places[number] - step, ArrowRight: places[number] + step, Home: 0, End: 100 }[event.key];
    if (target === undefined) return;
    move(number, target);
    event.preventDefault();
  }));

  figure.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const button = [...figure.querySelectorAll("[data-key]")].find(({ dataset }) => dataset.key === event.key.toLowerCase());
    if (button) show(button.dataset.view);
  });
  figure.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.view) show(button.dataset.view);
    else button.setAttribute("aria-pressed", String(figure.classList.toggle("actual")));
  });

  places.forEach((place, number) => move(number, place));
  show("wipe");
}
