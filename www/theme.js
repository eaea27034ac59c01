// Before the first paint: the theme that was chosen here, else the system's. `app.js` has the switch.
try {
  const theme = localStorage.getItem("edgequeue-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; then the system's theme holds.
}
