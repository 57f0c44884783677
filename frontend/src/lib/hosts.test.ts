import { expect, test } from "vitest";

import { addressError, hostsOf } from "./hosts";

test("only addresses are taken from the configuration", () => {
  const sections = {
    sources: {
      binance: { enabled: true, proxy: null, rest_url: "http://127.0.0.1:8090" },
      other: null,
    },
  };
  expect(hostsOf({ path: "", sections })).toEqual([
    { exchange: "binance", name: "rest_url", address: "http://127.0.0.1:8090" },
  ]);
  expect(hostsOf({ path: "", sections: {} })).toEqual([]);
});

test("an address has a scheme and a host", () => {
  expect(addressError("https://api.example.com/x")).toBeNull();
  expect(addressError("wss://stream.example.com")).not.toBeNull();
  expect(addressError("api.example.com")).not.toBeNull();
  expect(addressError("javascript:alert(1)")).not.toBeNull();
  expect(addressError("https://")).not.toBeNull();
});
