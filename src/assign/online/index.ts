/** Learning online: bandits, budgets, off-policy estimates. */
export { createBandit, type ArmChange, type Bandit, type BanditSettings, type Choice, type Judgement, type Lesson, type Option, type Question, type SavedBandit } from './bandit.ts';
export { preferences, utilityOf, type Preference } from './preference.ts';
