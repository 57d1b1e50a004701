// Starts the page: styles, root component, event stream. No logic.
import 'uplot/dist/uPlot.min.css';
import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import { farm } from './lib/farm.svelte';

const target = document.getElementById('app');
if (target) {
  mount(App, { target });
  void farm.begin();
}
