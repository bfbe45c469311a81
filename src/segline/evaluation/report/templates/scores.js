"use strict";
(() => {
  const names = ["image", "truth", "prediction", "errors"];
  for (const view of document.querySelectorAll(".view")) {
    const slider = view.querySelector("input"), stage = view.querySelector(".stage");
    const buttons = [...view.querySelectorAll("button")];
    const halves = [...view.querySelectorAll(".half span")];
    const show = () => {
      const value = Number(slider.value), left = Math.min(Math.floor(value), 2), share = value - left;
      ["--truth", "--answer", "--errors"].forEach((name, place) =>
        stage.style.setProperty(name, Math.min(1, Math.max(0, value - place))));
      stage.style.setProperty("--edge", share);
      stage.classList.toggle("between", share > 0 && share < 1);
      halves.forEach((half, place) => { half.textContent = names[left + place]; });
      buttons.forEach((button, place) => button.setAttribute("aria-pressed", value === place));
      slider.setAttribute("aria-valuetext", Number.isInteger(value) ? names[value]
        : `${names[left + 1]} over ${Math.round(100 * share)} % of ${names[left]}`);
    };
    slider.addEventListener("input", show);
    for (const button of buttons) button.addEventListener("click", () => { slider.value = button.value; show(); });
    show();
  }
  document.getElementById("settings").addEventListener("submit", (event) => event.preventDefault());
  const opacity = document.getElementById("opacity");
  if (!opacity) return;
  const tint = () => {
    document.documentElement.style.setProperty("--opacity", opacity.value);
    document.getElementById("opacity-value").textContent = opacity.value;
  };
  opacity.addEventListener("input", tint);
  tint();
})();
