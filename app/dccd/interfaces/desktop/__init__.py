"""The desktop: tray, window, and what joins them to the program behind.

The main process holds the tray and no web engine, so that it stays small for weeks; the window is a child
process of the same program (`window`, `window_process`), told what to do by lines of JSON (`protocol`).
"""
